//! Problems of definitions, shown at their place in the text.

use std::path::PathBuf;

use quaero_app::{App, library, render::visible};
use quaero_contract::{Problem, Severity};
use serde_json::json;

use super::{
    Exit,
    output::{Look, Output, count},
};

/// Longest piece of a line that is shown, in characters.
const MAX_LINE: usize = 120;

/// `quaero validate`: needs no data folder.
pub(super) fn validate(files: &[PathBuf], json: bool, output: &mut Output) -> Exit {
    let mut reports = Vec::new();
    let mut errors = 0;
    let mut warnings = 0;
    for path in files {
        let file = path.to_string_lossy().into_owned();
        let (text, problems) = match library::read(path) {
            Ok(bytes) => {
                let problems = App::validate(&file, &bytes);
                (String::from_utf8_lossy(&bytes).into_owned(), problems)
            }
            Err(error) => (String::new(), vec![library::unreadable(path, &error)]),
        };
        for problem in &problems {
            match problem.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
        }
        if json {
            reports.push(json!({ "file": file, "problems": problems }));
        } else if problems.is_empty() {
            output.line(format_args!("{}: {}", visible(&file), output.paint(Look::Good, "valid")));
        } else {
            for problem in &problems {
                output.line(show(&file, &text, problem, |look, text| output.paint(look, text)));
            }
        }
    }
    if json {
        output.json(&reports);
    } else if errors + warnings > 0 {
        output.line(format_args!("{}, {}", count(errors, "error"), count(warnings, "warning")));
    }
    if errors > 0 { Exit::Invalid } else { Exit::Done }
}

/// Everything that is wrong with a definition that was to be run, on standard error.
pub(super) fn refuse(file: &str, text: &str, problems: &[Problem], output: &mut Output) -> Exit {
    for problem in problems {
        let shown = show(file, text, problem, |look, text| output.paint_note(look, text));
        output.note(shown);
    }
    Exit::Invalid
}

/// One problem with the line it is in and a mark below it. The definition may be somebody else's: what
/// comes from it is shown, and never obeyed by the terminal.
fn show(file: &str, text: &str, problem: &Problem, paint: impl Fn(Look, &str) -> String) -> String {
    let (word, look) = match problem.severity {
        Severity::Error => ("error", Look::Bad),
        Severity::Warning => ("warning", Look::Warning),
    };
    let head = paint(look, &format!("{word}[{}]", problem.code));
    let margin = " ".repeat(problem.line.to_string().len());
    let bar = paint(Look::Faint, "|");
    let step = problem.step.as_ref().map(|step| format!(" (step `{step}`)"));
    let step = visible(&step.unwrap_or_default());
    let arrow = paint(Look::Faint, "-->");
    let mut shown = format!(
        "{head}: {}\n{margin}{arrow} {}:{}:{}{step}\n",
        visible(&problem.message),
        visible(file),
        problem.line,
        problem.column
    );
    let line = text
        .lines()
        .nth(problem.line.saturating_sub(1) as usize)
        .filter(|line| !line.trim().is_empty());
    if let Some(line) = line {
        let (piece, before, marked) = excerpt(line, problem);
        let number = paint(Look::Faint, &problem.line.to_string());
        let mark = paint(look, &"^".repeat(marked));
        shown += &format!(
            "{margin} {bar}\n{number} {bar} {piece}\n{margin} {bar} {}{mark}\n",
            " ".repeat(before)
        );
    }
    if let Some(fix) = &problem.fix {
        shown += &format!("{margin} {} {}\n", paint(Look::Faint, "= help:"), visible(fix));
    }
    shown
}

/// The part of the line around the problem, how far into it the problem starts, and how long it is
/// there, all in characters.
fn excerpt(line: &str, problem: &Problem) -> (String, usize, usize) {
    // Control characters, tabs and what cannot be seen would move what follows away from its mark.
    let seen = |c: char| !c.is_control() && !visible(c.encode_utf8(&mut [0; 4])).is_empty();
    let chars: Vec<char> = line.chars().map(|c| if seen(c) { c } else { ' ' }).collect();
    let column = (problem.column.saturating_sub(1) as usize).min(chars.len());
    let from = if column > MAX_LINE * 2 / 3 { column - MAX_LINE / 3 } else { 0 };
    let to = (from + MAX_LINE).min(chars.len());
    // Bytes of the problem become characters of the line, up to its end.
    let bytes = problem.end.saturating_sub(problem.start) as usize;
    let mut length = 0;
    let mut used = 0;
    for c in line.chars().skip(column) {
        if used >= bytes {
            break;
        }
        used += c.len_utf8();
        length += 1;
    }
    let marked = length.min(to.saturating_sub(column)).max(1);
    (chars[from..to].iter().collect::<String>().trim_end().to_owned(), column - from, marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, column: u32, length: u32) -> Problem {
        Problem {
            code: "unknown_field".to_owned(),
            severity: Severity::Error,
            message: "`max_page` is not known.".to_owned(),
            line,
            column,
            start: 100,
            end: 100 + length,
            step: Some("crawl".to_owned()),
            fix: Some("Did you mean `max_pages`?".to_owned()),
        }
    }

    fn plain(text: &str, problem: &Problem) -> String {
        show("a.toml", text, problem, |_, text| text.to_owned())
    }

    #[test]
    fn a_problem_is_marked_in_its_line() {
        let text = "[step.crawl]\nmax_page = 5\n";
        let expected = "error[unknown_field]: `max_page` is not known.
 --> a.toml:2:1 (step `crawl`)
  |
2 | max_page = 5
  | ^^^^^^^^
  = help: Did you mean `max_pages`?
";
        assert_eq!(plain(text, &problem(2, 1, 8)), expected);
    }

    #[test]
    fn the_mark_stands_below_its_characters() {
        let rows = [
            ("é = \"ß\"\n", 5, 4, "é = \"ß\"", 4, 3),
            ("\tname = 1", 2, 4, " name = 1", 1, 4),
            ("x", 9, 1, "x", 1, 1),
            ("a = [1,", 5, 500, "a = [1,", 4, 3),
        ];
        for (line, column, length, piece, before, marked) in rows {
            let found = excerpt(line.trim_end_matches('\n'), &problem(1, column, length));
            assert_eq!(found, (piece.to_owned(), before, marked), "{line}");
        }
    }

    #[test]
    fn a_very_long_line_is_shown_around_the_problem() {
        let line = format!("{}here{}", "x".repeat(100_000), "y".repeat(100_000));
        let (piece, before, marked) = excerpt(&line, &problem(1, 100_001, 4));
        assert_eq!(piece.chars().count(), MAX_LINE);
        assert_eq!(piece.chars().skip(before).take(marked).collect::<String>(), "here");
    }

    #[test]
    fn no_text_from_a_definition_reaches_the_terminal_as_a_command() {
        let mut hostile = problem(1, 1, 1);
        hostile.message = "`\x1b[31m` is not a host".to_owned();
        hostile.fix = Some("\u{202e}\x07".to_owned());
        let shown = show("\x1b[2J.toml", "x = \"\x1b\"", &hostile, |_, text| text.to_owned());
        assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown:?}");
    }

    #[test]
    fn a_problem_of_the_whole_file_needs_no_line() {
        let mut whole = problem(1, 1, 0);
        whole.step = None;
        assert!(!plain("", &whole).contains('^'));
    }
}
