//! A folder of pages with the content that people marked in them.

use std::{collections::HashMap, fs, io::Read, path::Path};

use serde_json::Value;
use url::Url;

/// A page and what is known of it.
pub(crate) struct Page {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) url: Url,
    pub(crate) html: String,
    pub(crate) content: String,
    /// Snippets that must appear, and snippets that must not.
    pub(crate) with: Vec<String>,
    pub(crate) without: Vec<String>,
    /// `title`, `author` and `published`, where people found them.
    pub(crate) told: HashMap<&'static str, String>,
}

/// The pages of `folder`: `html/ID.html.gz`, each with `ground-truth/ID.json`, in order of their names.
///
/// # Errors
/// If a file is missing or not of that shape.
pub(crate) fn pages(folder: &Path) -> Result<Vec<Page>, String> {
    let truths = folder.join("ground-truth");
    let unreadable = |error| {
        format!(
            "{} cannot be read: {error}. It must hold one ID.json for each page.",
            truths.display()
        )
    };
    let mut ids: Vec<String> = fs::read_dir(&truths)
        .map_err(unreadable)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    ids.sort();
    ids.into_iter().map(|id| page(folder, id)).collect()
}

fn page(folder: &Path, id: String) -> Result<Page, String> {
    let path = folder.join("ground-truth").join(format!("{id}.json"));
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error.to_string()))?;
    let truth: Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    let content = truth["ground_truth"]["main_content"]
        .as_str()
        .ok_or_else(|| wrong("it has no ground_truth.main_content"))?
        .to_owned();
    // A few were saved without their address.
    let url = truth["url"]
        .as_str()
        .and_then(|url| Url::parse(url).ok())
        .map_or_else(|| Url::parse("https://pages.example.org/"), Ok)
        .map_err(|error| wrong(&error.to_string()))?;
    let kind = truth["_internal"]["page_type"]["primary"].as_str().unwrap_or("unknown").to_owned();
    let snippets = |name: &str| {
        let list = truth["ground_truth"][name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (with, without) = (snippets("with"), snippets("without"));
    let told = [("title", "title"), ("author", "author"), ("published", "publish_date")]
        .into_iter()
        .filter_map(|(name, key)| Some((name, truth["ground_truth"][key].as_str()?.to_owned())))
        .filter(|(_, value)| !value.trim().is_empty())
        .collect();
    let path = folder.join("html").join(format!("{id}.html.gz"));
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(&path).map_err(wrong)?)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    let html = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Page { id, kind, url, html, content, with, without, told })
}
