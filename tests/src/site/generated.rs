//! A friendly site of any size, whose pages are computed when they are asked for: each has a text of its
//! own and ten links to pages below it, so that all are found from the front page.

use std::{fmt::Write as _, io, sync::Arc};

use tokio::{io::BufReader, net::TcpStream};

use super::{Log, Site, read_request, respond};

/// Links from one page to pages below it.
const BRANCHES: u32 = 10;
/// Sentences of a page.
const SENTENCES: u32 = 12;

/// A site of computed pages.
pub struct GeneratedSite;

impl GeneratedSite {
    /// Starts a site of so many pages; the first is `/`, the others `/page/N`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(pages: u32) -> io::Result<Site> {
        Site::start(move |stream, log| serve(BufReader::new(stream), pages, log))
    }
}

async fn serve(mut stream: BufReader<TcpStream>, pages: u32, _log: Arc<Log>) -> io::Result<()> {
    // Its requests are not noted: a long list of them would be what is measured.
    while let Some(request) = read_request(&mut stream).await? {
        let number = match request.target.as_str() {
            "/" => Some(0),
            target => target.strip_prefix("/page/").and_then(|number| number.parse().ok()),
        };
        match number.filter(|number| *number < pages) {
            Some(number) => {
                let body = page(number, pages);
                let headers = "Content-Type: text/html; charset=utf-8\r\n";
                respond(&mut stream, &request, "200 OK", headers, body.as_bytes()).await?;
            }
            None => respond(&mut stream, &request, "404 Not Found", "", b"").await?,
        }
        if !request.keep_alive {
            return Ok(());
        }
    }
    Ok(())
}

/// One page. Its words depend on its number alone.
fn page(number: u32, pages: u32) -> String {
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        vocable(state >> 33)
    };
    let mut html = format!(
        "<!doctype html><html lang=en><head><title>Page {number}</title></head><body><main><h1>Page {number}</h1>"
    );
    for sentence in 0..SENTENCES {
        let words: Vec<String> = (0..14).map(|_| word()).collect();
        let _ = write!(html, "<p>{}, number {number}.{sentence}.</p>", words.join(" "));
    }
    html.push_str("</main><nav><ul>");
    let first = u64::from(number) * u64::from(BRANCHES) + 1;
    for below in first..(first + u64::from(BRANCHES)).min(u64::from(pages)) {
        let _ = write!(html, "<li><a href=\"/page/{below}\">Page {below}</a></li>");
    }
    html.push_str("</ul></nav></body></html>");
    html
}

/// A word of a language of 20,000, of which, as in every language, few make up most of a text: the
/// frequency of a word goes with the inverse of its rank (Zipf 1935). `chance` is below 2^31.
#[must_use]
pub fn vocable(chance: u64) -> String {
    const SYLLABLES: [&str; 20] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su",
        "ta", "ve", "wi", "xo", "zu",
    ];
    #[allow(clippy::cast_precision_loss, reason = "31 bits")]
    let share = chance as f64 / f64::from(1_u32 << 31);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 20,000")]
    let mut rank = 20_000_f64.powf(share) as usize;
    let mut word = String::new();
    while rank > 0 {
        word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
        rank /= SYLLABLES.len();
    }
    word
}
