//! A site that misbehaves as real ones do, one path for each kind.
//!
//! | path | what happens |
//! |---|---|
//! | `/` | a page that links to every page that ends well |
//! | `/page/NAME` | a small page; `/page/NAME?text=T` says T |
//! | `/busy` | 429 with `Retry-After: 1`, then the page |
//! | `/busy-for-ever` | 429 without a word when to come back |
//! | `/busy-until-far` | 503 with `Retry-After: 1000000000000` |
//! | `/flaky` | 500, then 503, then the page |
//! | `/down` | 503 |
//! | `/gone`, `/closed`, `/teapot` | 410, 403, 418 |
//! | `/empty` | 200 without a body |
//! | `/loop` | redirects to `/loop/back` and back |
//! | `/hops/N` | N redirects, then a page |
//! | `/to?TARGET` | redirects to TARGET, whatever that is |
//! | `/to-nowhere` | a redirect without a target |
//! | `/to-far` | a redirect to an address of 100 KB |
//! | `/growing?n=N` | redirects to itself with a longer query |
//! | `/session/NAME` | links to itself and two others under a new session each time |
//! | `/charset/NAME` | `wrong`, `missing`, `meta`, `utf16`: the same Russian sentence |
//! | `/slow` | a byte every 50 ms, for ever |
//! | `/silent` | accepts and says nothing |
//! | `/reset` | resets the connection in the middle of the body |
//! | `/short`, `/long`, `/two-lengths` | a wrong `Content-Length` |
//! | `/bad-chunk` | a chunk that is none |
//! | `/endless` | a body without end |
//! | `/announced` | announces 100 GB |
//! | `/bomb` | 8 MB of spaces in 8 KB of gzip |
//! | `/wrapped` | gzip in gzip |
//! | `/cut-gzip` | half of a gzip file |
//! | `/huge-header`, `/many-headers` | headers of 100 KB |
//! | `/lies/NAME` | `png`, `elf`, `pdf` sent as `text/html`; `html` sent as bytes |
//! | `/nested` | 100,000 `<div>` in each other |
//! | `/links/N` | N links |
//! | `/noindex`, `/nofollow`, `/header-noindex` | pages that ask not to be kept or followed |
//! | `/canonical?ADDRESS` | a page that says it is ADDRESS |
//! | `/bad-links` | links to addresses that nobody may follow |
//! | `/private/…` | pages that `RobotsFile::Private` disallows |

use std::{io, io::Write as _, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{Log, Request, Site, read_request, respond};

/// What the site answers when it is asked for its robots.txt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RobotsFile {
    /// 404.
    #[default]
    Missing,
    /// Disallows `/private/`.
    Private,
    /// This text.
    Text(String),
    /// This status.
    Status(u16),
    /// This status the first time, then 404.
    StatusOnce(u16),
    /// A redirect to this address.
    Redirect(String),
    /// A page that says that something was not found, with status 200.
    Html,
    /// A file without end that begins by disallowing `/private/`.
    Endless,
}

/// A site that misbehaves.
pub struct HostileSite;

impl HostileSite {
    /// Starts it without a robots.txt.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn serve() -> io::Result<Site> {
        Self::with_robots(RobotsFile::Missing)
    }

    /// Starts it with a robots.txt.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn with_robots(robots: RobotsFile) -> io::Result<Site> {
        Site::start(move |stream, log| serve(BufReader::new(stream), log, robots.clone()))
    }
}

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
const RUSSIAN: &str = "Съешь же ещё этих мягких французских булок, да выпей чаю.";

type Stream = BufReader<TcpStream>;

async fn serve(mut stream: Stream, log: Arc<Log>, robots: RobotsFile) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        let before = log.note(&request.target);
        if request.target == "/robots.txt" {
            answer_robots(&mut stream, &request, &robots, before).await?;
        } else if !answer(&mut stream, &request, before).await? {
            return Ok(());
        }
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

async fn answer_robots(
    stream: &mut Stream,
    request: &Request,
    robots: &RobotsFile,
    before: usize,
) -> io::Result<()> {
    let text = "Content-Type: text/plain\r\n";
    match robots {
        RobotsFile::Private => {
            respond(stream, request, "200 OK", text, b"User-agent: *\nDisallow: /private/\n").await
        }
        RobotsFile::Text(rules) => respond(stream, request, "200 OK", text, rules.as_bytes()).await,
        RobotsFile::Status(status) => {
            respond(stream, request, &format!("{status} Status"), text, b"").await
        }
        RobotsFile::StatusOnce(status) if before == 0 => {
            respond(stream, request, &format!("{status} Status"), text, b"").await
        }
        RobotsFile::Missing | RobotsFile::StatusOnce(_) => {
            respond(stream, request, "404 Not Found", text, b"").await
        }
        RobotsFile::Redirect(target) => {
            respond(stream, request, "302 Found", &format!("Location: {target}\r\n"), b"").await
        }
        RobotsFile::Html => {
            respond(
                stream,
                request,
                "200 OK",
                HTML,
                b"<html><p>User-agent: *\nDisallow: /\n</html>",
            )
            .await
        }
        RobotsFile::Endless => {
            stream
                .write_all(
                    format!("HTTP/1.1 200 OK\r\n{text}\r\nUser-agent: *\nDisallow: /private/\n")
                        .as_bytes(),
                )
                .await?;
            loop {
                stream.write_all("Disallow: /*/a*b*c$\n".repeat(500).as_bytes()).await?;
            }
        }
    }
}

/// Whether the connection can be used for another request.
async fn answer(stream: &mut Stream, request: &Request, before: usize) -> io::Result<bool> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let redirect = |target: &str| format!("Location: {target}\r\n");
    match first {
        "" => html(stream, request, &index()).await,
        "page" | "private" => {
            let text = query.strip_prefix("text=").unwrap_or("A small page.");
            html(stream, request, &page(rest, &format!("<p>{text}</p>"))).await
        }
        "busy" if before == 0 => {
            status(stream, request, "429 Too Many Requests", "Retry-After: 1\r\n").await
        }
        "flaky" if before == 0 => status(stream, request, "500 Internal Server Error", "").await,
        "flaky" if before == 1 => status(stream, request, "503 Service Unavailable", "").await,
        "busy" | "flaky" => html(stream, request, &page(first, "<p>At last.</p>")).await,
        "busy-for-ever" => status(stream, request, "429 Too Many Requests", "").await,
        "busy-until-far" => {
            status(stream, request, "503 Service Unavailable", "Retry-After: 1000000000000\r\n")
                .await
        }
        "down" => status(stream, request, "503 Service Unavailable", "").await,
        "gone" => status(stream, request, "410 Gone", "").await,
        "closed" => status(stream, request, "403 Forbidden", "").await,
        "teapot" => status(stream, request, "418 I'm a teapot", "").await,
        "empty" => html(stream, request, "").await,
        "loop" if rest.is_empty() => {
            status(stream, request, "302 Found", &redirect("/loop/back")).await
        }
        "loop" => status(stream, request, "302 Found", &redirect("/loop")).await,
        "hops" => match rest.parse::<u32>() {
            Ok(left) if left > 0 => {
                status(stream, request, "302 Found", &redirect(&format!("/hops/{}", left - 1)))
                    .await
            }
            _ => html(stream, request, &page("hops", "<p>Arrived.</p>")).await,
        },
        "to" => status(stream, request, "302 Found", &redirect(query)).await,
        "to-nowhere" => status(stream, request, "302 Found", "").await,
        "to-far" => {
            status(stream, request, "302 Found", &redirect(&format!("/{}", "far".repeat(34_000))))
                .await
        }
        "growing" => {
            status(stream, request, "302 Found", &redirect(&format!("/growing?n={query}1"))).await
        }
        "session" => {
            let number = before + rest.len() * 1000;
            let body = format!(
                "<p>Page {rest}.</p><a href='/session/a?PHPSESSID={number}'>a</a> \
                 <a href='/session/b;jsessionid={number}'>b</a> <a href='/session/c?utm_source={number}'>c</a>"
            );
            html(stream, request, &page(rest, &body)).await
        }
        "charset" => charset(stream, request, rest).await,
        "lies" => lies(stream, request, rest).await,
        "nested" => {
            let body = format!("<p>Before.</p>{}<p>Inside.</p>", "<div>".repeat(100_000));
            html(stream, request, &page("nested", &body)).await
        }
        "links" => {
            let count: usize = rest.parse().unwrap_or(0);
            let links: String = (0..count)
                .map(|number| format!("<a href='/page/{number}'>{number}</a>\n"))
                .collect();
            html(stream, request, &page("links", &links)).await
        }
        "noindex" => {
            let body = "<title>t</title><meta name=robots content=noindex><p>Not kept.</p><a href='/page/from-noindex'>x</a>";
            html(stream, request, body).await
        }
        "nofollow" => {
            let body = "<title>t</title><meta name=robots content=nofollow><p>Kept.</p><a href='/page/from-nofollow'>x</a>";
            html(stream, request, body).await
        }
        "header-noindex" => {
            let body = page("t", "<p>Not kept.</p>");
            respond(
                stream,
                request,
                "200 OK",
                &format!("{HTML}X-Robots-Tag: noindex\r\n"),
                body.as_bytes(),
            )
            .await?;
            Ok(true)
        }
        "canonical" => {
            let body = format!(
                "<title>t</title><link rel=canonical href='{query}'><p>It says it is elsewhere.</p>"
            );
            html(stream, request, &body).await
        }
        "bad-links" => html(stream, request, &page("bad-links", BAD_LINKS)).await,
        _ => broken(stream, request, first).await,
    }
}

/// Addresses inside the network, other schemes, and targets that a base, a refresh or a picture name.
const BAD_LINKS: &str = "<p>Bad links.</p>
<a href='http://169.254.169.254/latest/meta-data/'>a</a> <a href='http://10.0.0.1/'>b</a> <a href='http://[::1]/'>c</a>
<a href='file:///etc/passwd'>d</a> <a href='ftp://127.0.0.1/'>e</a> <a href='javascript:alert(1)'>f</a>
<a href='data:text/html,x'>g</a> <a href='http://localhost:1/'>h</a> <a href='http://2130706433:1/'>i</a>
<a href='http://user:password@127.0.0.1/'>j</a> <a href='//127.0.0.2:1/'>k</a> <a href='mailto:a@b'>l</a>
<meta http-equiv=refresh content='0;url=http://127.0.0.3:1/'><img src='http://127.0.0.4:1/x.png' srcset='http://127.0.0.5:1/y 2x'>";

/// Answers that are not good HTTP, or never end.
async fn broken(stream: &mut Stream, request: &Request, name: &str) -> io::Result<bool> {
    const SPACES: [u8; 16 << 10] = [b' '; 16 << 10];
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{HTML}{headers}\r\n");
    match name {
        "slow" => {
            stream.write_all(head("").as_bytes()).await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        "silent" => {
            // Until the other side has had enough.
            let _ = read_request(stream).await;
        }
        "reset" => {
            stream
                .write_all(
                    format!("{}<p>The beginning.", head("Content-Length: 1000\r\n")).as_bytes(),
                )
                .await?;
            stream.flush().await?;
            stream.get_ref().set_zero_linger()?;
        }
        "short" => {
            stream
                .write_all(
                    format!("{}<p>The beginning.", head("Content-Length: 1000\r\n")).as_bytes(),
                )
                .await?
        }
        "long" => {
            stream
                .write_all(format!("{}<p>1234567890", head("Content-Length: 8\r\n")).as_bytes())
                .await?
        }
        "two-lengths" => {
            stream
                .write_all(
                    format!("{}<p>12345", head("Content-Length: 8\r\nContent-Length: 3\r\n"))
                        .as_bytes(),
                )
                .await?
        }
        "bad-chunk" => {
            stream
                .write_all(
                    format!("{}5\r\n<p>ab\r\nzz\r\n", head("Transfer-Encoding: chunked\r\n"))
                        .as_bytes(),
                )
                .await?
        }
        "endless" => {
            stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes()).await?;
            loop {
                stream.write_all(format!("{:x}\r\n", SPACES.len()).as_bytes()).await?;
                stream.write_all(&SPACES).await?;
                stream.write_all(b"\r\n").await?;
            }
        }
        "announced" => {
            stream.write_all(head("Content-Length: 100000000000\r\n").as_bytes()).await?
        }
        "bomb" => return packed(stream, request, &gzip(&vec![b' '; 8 << 20])?).await,
        "wrapped" => {
            let body = gzip(&gzip(page("wrapped", "<p>Twice.</p>").as_bytes())?)?;
            let headers = format!("{HTML}Content-Encoding: gzip, gzip\r\n");
            respond(stream, request, "200 OK", &headers, &body).await?;
            return Ok(true);
        }
        "cut-gzip" => {
            let body =
                gzip(page("cut", &"<p>Some text that is long enough.</p>".repeat(50)).as_bytes())?;
            return packed(stream, request, &body[..body.len() / 2]).await;
        }
        "huge-header" => {
            stream
                .write_all(head(&format!("X-Huge: {}\r\n", "x".repeat(100_000))).as_bytes())
                .await?
        }
        "many-headers" => {
            stream.write_all(head(&"X-Many: 1234567890\r\n".repeat(5_000)).as_bytes()).await?
        }
        _ => return status(stream, request, "404 Not Found", "").await,
    }
    stream.flush().await?;
    Ok(false)
}

async fn charset(stream: &mut Stream, request: &Request, name: &str) -> io::Result<bool> {
    // Windows-1251 puts the Russian letters in the order of Unicode, with ё apart.
    let legacy: Vec<u8> = RUSSIAN
        .chars()
        .map(|letter| match letter {
            'А'..='я' => u8::try_from(u32::from(letter) - 0x410 + 0xc0).unwrap_or(b'?'),
            'ё' => 0xb8,
            _ => u8::try_from(u32::from(letter)).unwrap_or(b'?'),
        })
        .collect();
    let (header, meta) = match name {
        "wrong" => ("; charset=utf-8", ""),
        "meta" => ("", "<meta charset=windows-1251>"),
        _ => ("", ""),
    };
    let mut body = format!("<!doctype html>{meta}<title>charset</title><p>").into_bytes();
    body.extend(legacy);
    if name == "utf16" {
        let text = format!("\u{feff}<!doctype html><title>charset</title><p>{RUSSIAN}");
        body = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    }
    respond(stream, request, "200 OK", &format!("Content-Type: text/html{header}\r\n"), &body)
        .await?;
    Ok(true)
}

async fn lies(stream: &mut Stream, request: &Request, name: &str) -> io::Result<bool> {
    let (content_type, body): (&str, &[u8]) = match name {
        "png" => ("text/html", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01"),
        "elf" => ("text/plain", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
        "pdf" => ("text/html", b"%PDF-1.4\nthis is not one"),
        "html" => (
            "application/octet-stream",
            b"<!doctype html><title>lies</title><p>A page after all.</p>",
        ),
        "zip" => ("application/zip", b"PK\x03\x04"),
        _ => ("text/html", b"<!doctype html><title>lies</title><p>No lie.</p>"),
    };
    respond(stream, request, "200 OK", &format!("Content-Type: {content_type}\r\n"), body).await?;
    Ok(true)
}

async fn html(stream: &mut Stream, request: &Request, body: &str) -> io::Result<bool> {
    respond(stream, request, "200 OK", HTML, body.as_bytes()).await?;
    Ok(true)
}

async fn packed(stream: &mut Stream, request: &Request, body: &[u8]) -> io::Result<bool> {
    respond(stream, request, "200 OK", &format!("{HTML}Content-Encoding: gzip\r\n"), body).await?;
    Ok(true)
}

async fn status(
    stream: &mut Stream,
    request: &Request,
    line: &str,
    headers: &str,
) -> io::Result<bool> {
    respond(stream, request, line, &format!("{HTML}{headers}"), b"<p>Not the page.</p>").await?;
    Ok(true)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><title>{title}</title></head><body><main><h1>{title}</h1>\n{body}</main></body></html>"
    )
}

fn index() -> String {
    let good = [
        "/page/one",
        "/page/two",
        "/busy",
        "/flaky",
        "/hops/3",
        "/charset/wrong",
        "/charset/missing",
        "/charset/meta",
        "/charset/utf16",
        "/session/a",
        "/lies/html",
        "/nested",
        "/noindex",
        "/nofollow",
        "/to?/page/one",
    ];
    let links: String =
        good.iter().map(|path| format!("<li><a href='{path}'>{path}</a></li>")).collect();
    page("Everything that ends well", &format!("<p>What can be read here.</p><ul>{links}</ul>"))
}
