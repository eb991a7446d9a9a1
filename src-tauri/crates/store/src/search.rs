//! Search: queries of our own language, answered with highlighted passages and facets.

use std::collections::HashMap;

use quaero_contract::{
    DocumentHit, DocumentId, Facet, Facets, JobId, SearchRequest, SearchResults, SnippetPart,
};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use crate::{Store, error::Result, query::Query, time::rfc3339};

/// Put around matches by FTS5; never in a document, because control characters are not text.
const HIT: char = '\u{1}';
const END: char = '\u{2}';
const FACETS: i64 = 20;
/// Among so many of the best hits, new ones go before old ones that are hardly better.
const FRESHENED: u32 = 200;
/// How much better the newest document is placed than one that is very old, as a share of its score.
const FRESH: f64 = 0.25;
/// At this age half of that is left, in days.
const FRESH_DAYS: f64 = 90.0;

/// A search, split into what FTS5 ranks and what only filters.
struct Plan {
    ranked: Option<String>,
    filters: Vec<Query>,
    run: Option<JobId>,
}

impl Plan {
    fn new(request: &SearchRequest) -> Self {
        let (texts, mut filters): (Vec<Query>, Vec<Query>) = Query::parse(&request.query)
            .conjuncts()
            .into_iter()
            .partition(|part| part.fts().is_some());
        filters.extend(request.tags.iter().map(|tag| Query::Tag(tag.trim().to_lowercase())));
        if !request.source_types.is_empty() {
            filters
                .push(Query::Or(request.source_types.iter().cloned().map(Query::Source).collect()));
        }
        let ranked = if texts.is_empty() { None } else { Query::And(texts).fts() };
        Self { ranked, filters, run: request.run }
    }

    /// `SELECT … FROM documents d … WHERE …`, for the given columns.
    fn select(&self, columns: &'static str) -> QueryBuilder<Sqlite> {
        self.select_after("SELECT ", columns)
    }

    fn select_after(&self, start: &'static str, columns: &'static str) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new(start);
        sql.push(columns);
        let filtered = !self.filters.is_empty() || self.run.is_some();
        match &self.ranked {
            // Only what is asked of the document itself has it looked up.
            Some(fts) if !filtered && !columns.contains("d.") => {
                sql.push(" FROM documents_fts WHERE documents_fts MATCH ").push_bind(fts.clone())
            }
            // What is only counted is in an index that is much smaller than the documents.
            Some(fts) if !filtered => sql
                .push(" FROM documents_fts JOIN documents d INDEXED BY documents_by_facet ON d.id = documents_fts.rowid WHERE documents_fts MATCH ")
                .push_bind(fts.clone()),
            Some(fts) => sql
                .push(" FROM documents_fts JOIN documents d ON d.id = documents_fts.rowid WHERE documents_fts MATCH ")
                .push_bind(fts.clone()),
            None => sql.push(" FROM documents d WHERE 1"),
        };
        for filter in &self.filters {
            sql.push(" AND ");
            condition(&mut sql, filter);
        }
        if let Some(run) = self.run {
            sql.push(" AND EXISTS (SELECT 1 FROM step_documents s WHERE s.document_id = d.id AND s.run_id = ")
                .push_bind(run.0)
                .push(")");
        }
        sql
    }
}

fn condition(sql: &mut QueryBuilder<Sqlite>, query: &Query) {
    match query {
        Query::All => {
            sql.push("1");
        }
        Query::Text { .. } => {
            sql.push("d.id IN (SELECT rowid FROM documents_fts WHERE documents_fts MATCH ")
                .push_bind(query.fts().expect("text has an expression"))
                .push(")");
        }
        Query::Tag(tag) => {
            sql.push(
                "EXISTS (SELECT 1 FROM document_tags t WHERE t.document_id = d.id AND t.tag = ",
            )
            .push_bind(tag.clone())
            .push(")");
        }
        Query::Source(source) => {
            sql.push("d.source_type = ").push_bind(source.clone());
        }
        Query::Site(site) => {
            // The host itself, with any port, or one below it.
            sql.push("(d.site = ").push_bind(site.clone());
            sql.push(" OR substr(d.site, 1, length(").push_bind(site.clone()).push(") + 1) = ");
            sql.push_bind(format!("{site}:"));
            sql.push(" OR substr(d.site, -length(").push_bind(site.clone()).push(") - 1) = ");
            sql.push_bind(format!(".{site}")).push(")");
        }
        Query::Before(ms) => {
            sql.push("d.fetched_ms < ").push_bind(*ms);
        }
        Query::After(ms) => {
            sql.push("d.fetched_ms >= ").push_bind(*ms);
        }
        Query::And(parts) | Query::Or(parts) => {
            let with = if matches!(query, Query::And(_)) { " AND " } else { " OR " };
            sql.push("(");
            for (n, part) in parts.iter().enumerate() {
                if n > 0 {
                    sql.push(with);
                }
                condition(sql, part);
            }
            sql.push(")");
        }
        Query::Not(inner) => {
            sql.push("NOT ");
            condition(sql, inner);
        }
    }
}

impl Store {
    /// Searches the documents: the best first, those of an equal rank the newest first. `now_ms` is
    /// the time from which a document's age is told, in milliseconds since 1970.
    ///
    /// # Errors
    /// If SQLite fails. There are no wrong queries.
    pub async fn search(&self, request: &SearchRequest, now_ms: i64) -> Result<SearchResults> {
        let plan = Plan::new(request);
        // Ranking and counting each go through all hits, so they go at the same time.
        let (hits, (total, facets)) =
            tokio::try_join!(self.best(&plan, request, now_ms), self.facets(&plan))?;
        Ok(SearchResults { hits, total, facets })
    }

    async fn facets(&self, plan: &Plan) -> Result<(u32, Facets)> {
        facets(&mut *self.readers.acquire().await?, plan).await
    }

    async fn best(
        &self,
        plan: &Plan,
        request: &SearchRequest,
        now_ms: i64,
    ) -> Result<Vec<DocumentHit>> {
        let mut conn = self.readers.acquire().await?;
        let (limit, offset) = (request.limit.clamp(1, 200), request.offset);
        let ranked: Vec<(i64, f64)> = if plan.ranked.is_some() {
            // A word in the title counts for more than one in a heading, and that for more than one in
            // the content.
            let mut best =
                plan.select("documents_fts.rowid, -bm25(documents_fts, 5.0, 2.5, 1.0) AS score");
            best.push(" ORDER BY score DESC, documents_fts.rowid DESC LIMIT ");
            best.push_bind(offset.saturating_add(limit).max(FRESHENED));
            let best = best.build_query_as().fetch_all(&mut *conn).await?;
            let best = freshened(&mut conn, best, now_ms).await?.into_iter();
            best.skip(offset as usize).take(limit as usize).collect()
        } else {
            let mut page = plan.select("d.id, 0.0 AS score");
            page.push(" ORDER BY d.last_synced_ms DESC, d.id DESC LIMIT ");
            page.push_bind(limit).push(" OFFSET ").push_bind(offset);
            page.build_query_as().fetch_all(&mut *conn).await?
        };
        hits(&mut conn, plan, &ranked).await
    }
}

/// The hits with the newer of the best ones moved up.
async fn freshened(
    conn: &mut SqliteConnection,
    mut best: Vec<(i64, f64)>,
    now_ms: i64,
) -> Result<Vec<(i64, f64)>> {
    let first = best.len().min(FRESHENED as usize);
    let ids: Vec<i64> = best[..first].iter().map(|(id, _)| *id).collect();
    let ids = serde_json::to_string(&ids).expect("numbers are plain data");
    let fetched: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT id, fetched_ms FROM documents WHERE id IN (SELECT value FROM json_each(?))",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    let fetched: HashMap<i64, i64> = fetched.into_iter().collect();
    for (id, score) in &mut best[..first] {
        let age_ms = now_ms.saturating_sub(fetched.get(id).copied().unwrap_or_default()).max(0);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let days = age_ms as f64 / 86_400_000.0;
        *score *= 1.0 + FRESH * FRESH_DAYS / (FRESH_DAYS + days);
    }
    best[..first].sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    Ok(best)
}

async fn hits(
    conn: &mut SqliteConnection,
    plan: &Plan,
    ranked: &[(i64, f64)],
) -> Result<Vec<DocumentHit>> {
    let ids: Vec<i64> = ranked.iter().map(|(id, _)| *id).collect();
    let ids = serde_json::to_string(&ids).expect("numbers are plain data");
    let rows = sqlx::query(
        "SELECT id, title, source_type, source_id, url, run_id, last_synced_ms, substr(markdown, 1, 400) AS beginning,
             (SELECT json_group_array(tag) FROM (SELECT tag FROM document_tags WHERE document_id = documents.id ORDER BY tag)) AS tags
         FROM documents WHERE id IN (SELECT value FROM json_each(?))",
    )
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let mut passages: HashMap<i64, String> = HashMap::new();
    if let Some(fts) = &plan.ranked {
        let found: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT rowid, snippet(documents_fts, 2, char(1), char(2), '…', 28) FROM documents_fts
             WHERE documents_fts MATCH ? AND rowid IN (SELECT value FROM json_each(?))",
        )
        .bind(fts)
        .bind(&ids)
        .fetch_all(conn)
        .await?;
        passages.extend(found.into_iter().map(|(id, passage)| (id, readable(&passage))));
    }
    let mut by_id = HashMap::with_capacity(rows.len());
    for row in &rows {
        let id: i64 = row.try_get("id")?;
        let passage = match passages.remove(&id) {
            Some(passage) => passage,
            None => text(row, "beginning")?,
        };
        by_id.insert(
            id,
            DocumentHit {
                id: DocumentId(id),
                title: text(row, "title")?,
                source_type: row.try_get("source_type")?,
                source_id: text(row, "source_id")?,
                url: row.try_get::<Option<&[u8]>, _>("url")?.map(readable),
                tags: serde_json::from_str(row.try_get("tags")?).unwrap_or_default(),
                score: 0.0,
                snippet: snippet(&passage),
                run_id: JobId(row.try_get("run_id")?),
                last_synced: rfc3339(row.try_get("last_synced_ms")?),
            },
        );
    }
    Ok(ranked
        .iter()
        .filter_map(|(id, score)| Some(DocumentHit { score: *score, ..by_id.remove(id)? }))
        .collect())
}

/// Text with a mark in place of bytes that are none: damage to one document hides no other.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn text(row: &SqliteRow, column: &str) -> Result<String> {
    Ok(readable(row.try_get(column)?))
}

async fn facets(conn: &mut SqliteConnection, plan: &Plan) -> Result<(u32, Facets)> {
    let mut sql = plan.select_after(
        "WITH m (id, source_type, site) AS MATERIALIZED (SELECT ",
        "d.id, d.source_type, d.site",
    );
    sql.push(
        ") SELECT 0 AS kind, '' AS value, count(*) AS n FROM m
         UNION ALL SELECT * FROM (SELECT 1, t.tag, count(*) AS n FROM m JOIN document_tags t ON t.document_id = m.id
             GROUP BY t.tag ORDER BY n DESC, t.tag LIMIT ",
    );
    sql.push_bind(FACETS);
    sql.push(") UNION ALL SELECT * FROM (SELECT 2, source_type, count(*) AS n FROM m GROUP BY source_type ORDER BY n DESC LIMIT ");
    sql.push_bind(FACETS);
    sql.push(") UNION ALL SELECT * FROM (SELECT 3, site, count(*) AS n FROM m WHERE site IS NOT NULL GROUP BY site ORDER BY n DESC, site LIMIT ");
    sql.push_bind(FACETS).push(")");
    let rows: Vec<(i64, String, u32)> = sql.build_query_as().fetch_all(conn).await?;
    let (mut total, mut facets) = (0, Facets::default());
    for (kind, value, count) in rows {
        match kind {
            0 => total = count,
            1 => facets.tags.push(Facet { value, count }),
            2 => facets.source_types.push(Facet { value, count }),
            _ => facets.sites.push(Facet { value, count }),
        }
    }
    Ok((total, facets))
}

/// A passage as plain text: without the marks of Markdown, with the hits told apart.
fn snippet(passage: &str) -> Vec<SnippetPart> {
    const LONGEST: usize = 320;
    let mut parts: Vec<SnippetPart> = Vec::new();
    let (mut hit, mut in_target, mut length) = (false, false, 0);
    // Line breaks in the cells of a table are the only HTML in our Markdown.
    let passage = passage.replace("<br>", " ");
    let mut chars = passage.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            HIT | END => {
                hit = c == HIT;
                continue;
            }
            // The target of a link: `](https://…)`.
            ')' if in_target => {
                in_target = false;
                continue;
            }
            _ if in_target => {
                in_target = !c.is_whitespace();
                continue;
            }
            ']' => {
                in_target = chars.next_if_eq(&'(').is_some();
                continue;
            }
            '[' | '*' | '`' | '#' | '|' | '\\' | '>' => continue,
            '!' if chars.peek() == Some(&'[') => continue,
            _ => {}
        }
        let c = if c.is_whitespace() { ' ' } else { c };
        let after_space = parts.last().is_none_or(|part| part.text.ends_with(' '));
        if c == ' ' && after_space {
            continue;
        }
        length += 1;
        if length > LONGEST {
            break;
        }
        match parts.last_mut() {
            Some(part) if part.hit == hit => part.text.push(c),
            _ => parts.push(SnippetPart { text: c.to_string(), hit }),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_plain_text_with_its_hits() {
        let show = |passage| {
            snippet(passage)
                .iter()
                .map(|part| if part.hit { format!("<{}>", part.text) } else { part.text.clone() })
                .collect::<String>()
        };
        assert_eq!(show("## The \u{1}cash\u{2} flow\n\n| a | b |"), "The <cash> flow a b ");
        assert_eq!(
            show("see [the \u{1}page\u{2}](https://example.org/\u{1}page\u{2}) *now*"),
            "see the <page> now"
        );
        assert_eq!(show("| `bool`<br>True if |"), "bool True if ");
        assert_eq!(show(&"x".repeat(10_000)).len(), 320);
    }
}
