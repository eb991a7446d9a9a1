//! What a message says. Nothing here sends or reads anything.

use std::{fmt::Write as _, time::Duration, time::SystemTime};

use lettre::{
    Message,
    message::{Attachment as Part, Mailbox, MultiPart, SinglePart, header::ContentType},
};
use quaero_contract::{DocumentView, RunView};
use quaero_engine::work::TaskError;

use super::{Attachment, EmailConfig};
use crate::{
    render::{render, visible},
    services::plain,
};

/// How the message looks. Mail programs know little of CSS, and load nothing from elsewhere.
const STYLE: &str = "body{margin:0;padding:24px;background:#fff;color:#1f2328;\
font:15px/1.55 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif}\
.page{max-width:760px;margin:0 auto}h1{font-size:22px;line-height:1.25}\
h2{font-size:18px;border-bottom:1px solid #d8dee4;padding-bottom:4px}h3{font-size:16px}\
a{color:#0b57d0}table{border-collapse:collapse;margin:12px 0}\
th,td{border:1px solid #d8dee4;padding:5px 10px;text-align:left;vertical-align:top}\
th{background:#f6f8fa}pre,code{font-family:Consolas,Menlo,monospace;font-size:13px;background:#f6f8fa}\
pre{padding:10px;overflow:auto;white-space:pre-wrap}\
blockquote{margin:0;padding-left:12px;border-left:3px solid #d8dee4;color:#57606a}\
.foot{margin-top:32px;color:#57606a;font-size:12px}";

/// A step that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStep {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Material {
    /// The run, as it stands.
    pub run: RunView,
    /// The step that sends.
    pub step: String,
    /// The steps that did not end well; empty if all did.
    pub failed: Vec<FailedStep>,
    /// The last lines of the log.
    pub log: Vec<String>,
    /// The document that the step names.
    pub document: Option<DocumentView>,
}

/// A message, but for who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it is about, in one line.
    pub subject: String,
    /// What it says, in Markdown; also the part for programs that show no HTML.
    pub markdown: String,
    /// What it says, as a page that stands alone. Safe: it has passed the one renderer.
    pub html: String,
    /// A file's name, type and text.
    pub attachment: Option<(String, &'static str, String)>,
}

/// Writes the message. Takes time in proportion to the text; call it off the async threads.
///
/// # Errors
/// `text_too_long` if it is larger than a message may be.
pub fn compose(config: &EmailConfig, material: &Material) -> Result<Letter, TaskError> {
    let Material { run, failed, log, document, .. } = material;
    let mut markdown = String::new();
    let mut subject = config.subject.clone();
    if !failed.is_empty() {
        subject = match &config.on_error_subject {
            Some(subject) => subject.clone(),
            None => format!("Failed: {subject}"),
        };
        failure(&mut markdown, run, failed, log);
    }
    match (document, &config.body) {
        (Some(document), _) => markdown.push_str(&document.markdown),
        (None, Some(body)) => markdown.push_str(body),
        // What failed is told already.
        (None, None) if !failed.is_empty() => {}
        (None, None) => account(&mut markdown, material),
    }
    let subject = one_line(&subject);
    let rendered = render(&markdown);
    if rendered.truncated {
        let message = "The text is too long for an e-mail. Send a shorter report.";
        return Err(TaskError::permanent("text_too_long", message));
    }
    let html = page(&subject, &rendered.html, &format!("Sent by Quaero: {}", run.summary.name));
    let attachment = document.as_ref().zip(config.attachment).map(|(document, kind)| {
        let name = file_name(&document.title);
        match kind {
            Attachment::Markdown => {
                (format!("{name}.md"), "text/markdown; charset=utf-8", document.markdown.clone())
            }
            Attachment::Html => {
                let text = render(&document.markdown).html;
                let source = format!("Collected by Quaero on {}", document.fetched);
                let text = page(&document.title, &text, &source);
                (format!("{name}.html"), "text/html; charset=utf-8", text)
            }
        }
    });
    Ok(Letter { subject, markdown, html, attachment })
}

impl Letter {
    /// The message as it is sent.
    ///
    /// # Errors
    /// If an address is none.
    pub(super) fn message(
        &self,
        from: &str,
        to: &str,
        id: &str,
        now_ms: i64,
    ) -> Result<Message, TaskError> {
        let address = |text: &str, place: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                let message = format!("`{text:.100}` is no e-mail address: {error}. {place}");
                TaskError::permanent("bad_address", message)
            })
        };
        let from = address(from, "Change the sender in the settings, under Services.")?;
        let to = address(to, "Change it in the step.")?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms.try_into().unwrap_or(0));
        let text =
            MultiPart::alternative_plain_html(visible_lines(&self.markdown), self.html.clone());
        let builder = Message::builder()
            .from(from)
            .to(to)
            .subject(self.subject.clone())
            .message_id(Some(id.to_owned()))
            .date(date);
        let built = match &self.attachment {
            None => builder.multipart(text),
            Some((name, kind, content)) => {
                let kind = ContentType::parse(kind).expect("the types are fixed");
                let part: SinglePart = Part::new(name.clone()).body(content.clone(), kind);
                builder.multipart(MultiPart::mixed().multipart(text).singlepart(part))
            }
        };
        built.map_err(|error| {
            TaskError::permanent("bad_message", format!("The message cannot be made: {error}."))
        })
    }
}

fn failure(text: &mut String, run: &RunView, failed: &[FailedStep], log: &[String]) {
    let _ = write!(text, "# {} did not end well\n\n", plain(&run.summary.name));
    let _ = write!(text, "Started {}.\n\n", run.summary.started);
    for FailedStep { name, reason } in failed {
        let _ = writeln!(text, "- **{}**: {}", plain(name), plain(reason));
    }
    text.push('\n');
    if !log.is_empty() {
        text.push_str("## The last lines of the log\n\n");
        for line in log {
            // Four spaces make it text as it is, whatever stands in it.
            let _ = writeln!(text, "    {}", visible(line));
        }
        text.push('\n');
    }
}

/// How the run went.
fn account(text: &mut String, material: &Material) {
    let run = &material.run;
    let _ = write!(text, "# {}\n\n", plain(&run.summary.name));
    let _ = write!(text, "Started {}.\n\n", run.summary.started);
    text.push_str(
        "| Step | State | New documents | Changed | Unchanged |\n|---|---|---|---|---|\n",
    );
    for step in run.steps.iter().filter(|step| step.name != material.step) {
        let documents = &step.documents;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            plain(&step.name),
            step.status.as_str(),
            documents.created,
            documents.updated,
            documents.unchanged
        );
    }
    if !run.warnings.is_empty() {
        text.push_str("\n## Warnings\n\n");
        for warning in &run.warnings {
            let _ = writeln!(text, "- {}", plain(warning));
        }
    }
}

fn page(title: &str, html: &str, foot: &str) -> String {
    let escape = |text: &str| html_escape::encode_text(&visible(text)).into_owned();
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head>\
         <body><div class=\"page\">{html}<p class=\"foot\">{}</p></div></body></html>",
        escape(title),
        escape(foot)
    )
}

/// A line break in a subject would begin another header.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    visible(&text).chars().take(200).collect()
}

/// The text without what cannot be seen but changes how the rest is read.
fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\r\n")
}

/// A title as the name of a file, without an ending.
fn file_name(title: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() { c } else { '-' };
    let name: String = visible(title).chars().map(kept).take(80).collect();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "document".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn material() -> Material {
        let run = json!({
            "summary": {
                "id": "7", "definition_id": "daily", "name": "Daily *news*", "subject": "",
                "status": "running", "started": "2026-01-05T08:00:00Z", "finished": null,
                "duration_ms": 0, "jobs": jobs(), "documents": {"created": 3, "updated": 1, "unchanged": 0},
                "warnings": 0, "error": null, "started_by": "manual", "rerun_of": null, "parent_run": null,
            },
            "steps": [], "variables": [], "given": [], "definition_text": "", "warnings": ["A | B"],
        });
        Material {
            run: serde_json::from_value(run).expect("a run"),
            step: "mail".to_owned(),
            failed: Vec::new(),
            log: Vec::new(),
            document: None,
        }
    }

    fn jobs() -> serde_json::Value {
        json!({"total": 0, "pending": 0, "running": 0, "waiting": 0, "completed": 0, "failed": 0,
               "cancelled": 0, "skipped": 0})
    }

    fn letter(config: serde_json::Value, material: &Material) -> Letter {
        let mut all = json!({"to": "a@example.org"});
        for (key, value) in config.as_object().expect("an object") {
            all[key] = value.clone();
        }
        compose(&serde_json::from_value(all).expect("settings"), material).expect("composed")
    }

    #[test]
    fn what_a_message_says_is_rendered_and_made_safe() {
        let body = "# Hi\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) **bold**\n\n\
                    ![pixel](https://tracker.example/p.png)";
        let letter =
            letter(json!({"body": body, "subject": "A\r\nBcc: x@example.org"}), &material());
        assert_eq!(letter.subject, "A Bcc: x@example.org");
        assert!(letter.html.contains("<strong>bold</strong>"), "{}", letter.html);
        for bad in ["<script", "javascript:", "<img"] {
            assert!(!letter.html.contains(bad), "{bad} in {}", letter.html);
        }
        assert_eq!(letter.markdown, body);
    }

    #[test]
    fn without_a_text_the_message_tells_how_the_run_went() {
        let letter = letter(json!({}), &material());
        assert_eq!(letter.subject, "Quaero Job Results");
        assert!(letter.markdown.contains("# Daily \\*news\\*"), "{}", letter.markdown);
        assert!(letter.markdown.contains("- A \\| B"), "{}", letter.markdown);
    }

    #[test]
    fn a_failure_comes_first_with_the_log_as_it_is() {
        let mut material = material();
        let reason = "It <b>broke</b>.".to_owned();
        material.failed = vec![FailedStep { name: "crawl".to_owned(), reason }];
        material.log = vec!["12:00 warn `x` <script>".to_owned()];
        for (config, subject) in [
            (json!({"body": "The text."}), "Failed: Quaero Job Results"),
            (json!({"body": "The text.", "on_error_subject": "Oh"}), "Oh"),
        ] {
            let letter = letter(config, &material);
            assert_eq!(letter.subject, subject);
            assert!(
                letter.markdown.contains("- **crawl**: It \\<b\\>broke"),
                "{}",
                letter.markdown
            );
            assert!(letter.html.contains("`x` &lt;script&gt;"), "{}", letter.html);
            assert!(letter.markdown.ends_with("The text."), "the text follows");
        }
    }

    #[test]
    fn a_title_becomes_a_name_that_every_system_takes() {
        for (title, name) in [
            ("a:b", "a-b"),
            ("two\nlines", "two-lines"),
            ("<script>alert(1)</script>", "script-alert-1-script"),
            ("../../.bashrc", "bashrc"),
            ("\u{202e}fdp.exe\0", "fdp-exe"),
            ("Größe 📁", "Größe"),
            ("...", "document"),
            ("", "document"),
        ] {
            assert_eq!(file_name(title), name, "{title:?}");
        }
        assert_eq!(file_name(&"x".repeat(500)).len(), 80);
    }

    #[test]
    fn a_message_has_both_forms_and_the_file() {
        let mut letter = letter(json!({"body": "# Grüße"}), &material());
        letter.attachment =
            Some((file_name("A/..\\b: \u{202e}c"), "text/html; charset=utf-8", "x".to_owned()));
        let message = letter.message("Q <q@example.org>", "a@example.org", "<1@example.org>", 0);
        let text = String::from_utf8(message.expect("a message").formatted()).expect("text");
        for part in [
            "Message-ID: <1@example.org>",
            "From: Q <q@example.org>",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
            "filename=\"A-b-c\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for (from, to) in [("nobody", "a@example.org"), ("q@example.org", "a b@c")] {
            let refused = letter.message(from, to, "<1@example.org>", 0).expect_err("no address");
            assert_eq!(refused.code, "bad_address");
        }
    }
}
