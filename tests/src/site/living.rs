//! A site whose pages a test writes, changes and takes away, and that answers as a careful server does:
//! with an `ETag`, and with 304 to who has the page already.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{io::BufReader, net::TcpStream};

use super::{Log, Site, read_request, respond};

/// What is behind a path.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// 0 means 200.
    pub status: u16,
    /// Beside `ETag` and `Content-Length`; with a line break after each.
    pub headers: String,
    /// As it is sent.
    pub body: Vec<u8>,
}

type Pages = Arc<Mutex<BTreeMap<String, Page>>>;

/// A site that is written to while it runs. Derefs to the [`Site`].
pub struct LivingSite {
    site: Site,
    pages: Pages,
}

impl LivingSite {
    /// An empty site.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start() -> io::Result<Self> {
        let pages = Pages::default();
        let shared = pages.clone();
        let site =
            Site::start(move |stream, log| serve(BufReader::new(stream), shared.clone(), log))?;
        Ok(Self { site, pages })
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<String, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is behind a path and query.
    pub fn put(&self, target: &str, page: Page) {
        self.pages().insert(target.to_owned(), page);
    }

    /// Writes a page with this title, text and links.
    pub fn page(&self, target: &str, title: &str, text: &str, links: &[&str]) {
        let links: String =
            links.iter().map(|link| format!("<li><a href=\"{link}\">{link}</a></li>")).collect();
        let body = format!(
            "<!doctype html><html lang=en><title>{title}</title><main><h1>{title}</h1><p>{text}</p></main><nav><ul>{links}</ul></nav></html>"
        );
        self.file(target, "text/html; charset=utf-8", body.as_bytes());
    }

    /// Writes a file of this type.
    pub fn file(&self, target: &str, content_type: &str, body: &[u8]) {
        let headers = format!("Content-Type: {content_type}\r\n");
        self.put(target, Page { status: 200, headers, body: body.to_vec() });
    }

    /// Takes a page away.
    pub fn remove(&self, target: &str) {
        self.pages().remove(target);
    }
}

impl std::ops::Deref for LivingSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

async fn serve(mut stream: BufReader<TcpStream>, pages: Pages, log: Arc<Log>) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        let page =
            pages.lock().unwrap_or_else(PoisonError::into_inner).get(&request.target).cloned();
        let page = page.unwrap_or_else(|| Page {
            status: 404,
            headers: "Content-Type: text/html\r\n".to_owned(),
            body: b"<title>Not found</title>".to_vec(),
        });
        let mut hasher = DefaultHasher::new();
        page.body.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        let status = if page.status == 0 { 200 } else { page.status };
        let still = status == 200 && request.if_none_match.as_deref() == Some(etag.as_str());
        let status = if still { 304 } else { status };
        log.note(&format!("{status} {}", request.target));
        let body: &[u8] = if still { b"" } else { &page.body };
        let headers = format!("{}ETag: {etag}\r\n", page.headers);
        respond(&mut stream, &request, &format!("{status} As Written"), &headers, body).await?;
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}
