// A small stand-in for the engine's full-text search: words, phrases, OR, NOT, fields, prefixes.

import type { ApiError, DocumentHit, Facet, SearchRequest, SearchResults, SnippetPart } from "../types";

export type StoredDocument = {
  id: string;
  title: string;
  body: string;
  source_type: string;
  source_id: string;
  url: string | null;
  tags: string[];
  run_id: string;
  last_synced: string;
  gone?: string;
};

type Term = { field: string; needle: string; negated: boolean };

export function search(documents: StoredDocument[], request: SearchRequest): SearchResults {
  const groups = parse(request.query);
  const matches = documents.filter(
    (document) =>
      (request.run === null || document.run_id === request.run) &&
      request.tags.every((tag) => document.tags.includes(tag)) &&
      (request.source_types.length === 0 || request.source_types.includes(document.source_type)) &&
      groups.every((any) => any.some((term) => holds(document, term))),
  );
  const words = groups
    .flat()
    .filter((term) => !term.negated && (term.field === "" || term.field === "title"));
  const scored = matches.map((document) => ({ document, score: score(document, words) }));
  scored.sort((a, b) => b.score - a.score || Number(b.document.id) - Number(a.document.id));
  return {
    total: matches.length,
    hits: scored
      .slice(request.offset, request.offset + request.limit)
      .map(({ document, score }) => hit(document, score, words)),
    facets: {
      tags: facet(matches.flatMap((document) => document.tags)),
      source_types: facet(matches.map((document) => document.source_type)),
      sites: facet(matches.flatMap((document) => site(document) ?? [])),
    },
  };
}

/** A list of groups, all of which must hold; a group holds when any of its terms does. */
function parse(query: string): Term[][] {
  if ((query.match(/"/g) ?? []).length % 2 === 1) {
    throw {
      code: "invalid",
      message: `The quotation mark at character ${query.lastIndexOf('"') + 1} is never closed.`,
      hint: 'Add the closing ", or leave out the first.',
      where: null,
    } satisfies ApiError;
  }
  const groups: Term[][] = [];
  let negate = false;
  let or = false;
  for (const [token] of query.matchAll(/-?(?:\w+:)?"[^"]*"|\S+/g)) {
    if (token === "AND") continue;
    if (token === "OR") or = true;
    else if (token === "NOT") negate = true;
    else {
      const negated = negate || token.startsWith("-");
      const bare = token.replace(/^-/, "");
      const [, field = "", value = ""] = /^(?:(title|tag|source|site|before|after):)?(.*)$/.exec(bare) ?? [];
      const term = { field, needle: value.replaceAll('"', "").toLowerCase(), negated };
      const last = groups.at(-1);
      if (or && last) last.push(term);
      else groups.push([term]);
      negate = false;
      or = false;
    }
  }
  return groups;
}

function holds(document: StoredDocument, term: Term): boolean {
  const found = (() => {
    switch (term.field) {
      case "tag":
        return document.tags.includes(term.needle);
      case "source":
        return document.source_type === term.needle;
      case "site":
        return site(document) === term.needle;
      case "before":
        return document.last_synced < term.needle;
      case "after":
        return document.last_synced.slice(0, 10) > term.needle;
      case "title":
        return contains(document.title, term.needle);
      default:
        return contains(`${document.title} ${document.body}`, term.needle);
    }
  })();
  return found !== term.negated;
}

function pattern(needle: string): RegExp {
  const prefix = needle.endsWith("*");
  const literal = needle.replace(/\*$/, "").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(
    `(?<![\\p{L}\\p{N}])${literal}${prefix ? "[\\p{L}\\p{N}]*" : "(?![\\p{L}\\p{N}])"}`,
    "giu",
  );
}

const contains = (text: string, needle: string) => pattern(needle).test(text);
const site = (document: StoredDocument) => (document.url === null ? null : new URL(document.url).host);

function score(document: StoredDocument, words: Term[]): number {
  return words.reduce(
    (sum, { needle }) =>
      sum +
      4 * (document.title.match(pattern(needle))?.length ?? 0) +
      (document.body.match(pattern(needle))?.length ?? 0),
    0,
  );
}

function hit(document: StoredDocument, score: number, words: Term[]): DocumentHit {
  const { body, ...rest } = document;
  return { ...rest, score, snippet: snippet(body, words) };
}

function snippet(body: string, words: Term[]): SnippetPart[] {
  const spans = words
    .flatMap(({ needle }) =>
      [...body.matchAll(pattern(needle))].map(
        (match) => [match.index, match.index + match[0].length] as const,
      ),
    )
    .sort((a, b) => a[0] - b[0]);
  const start = Math.max(0, (spans[0]?.[0] ?? 0) - 60);
  const end = Math.min(body.length, start + 180);
  const parts: SnippetPart[] = [];
  let at = start;
  for (const [from, to] of spans) {
    if (from < at || to > end) continue;
    if (from > at) parts.push({ text: body.slice(at, from), hit: false });
    parts.push({ text: body.slice(from, to), hit: true });
    at = to;
  }
  parts.push({ text: body.slice(at, end) + (end < body.length ? "…" : ""), hit: false });
  if (start > 0 && parts[0]) parts[0] = { ...parts[0], text: `…${parts[0].text}` };
  return parts;
}

function facet(values: string[]): Facet[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || a.value.localeCompare(b.value))
    .slice(0, 20);
}
