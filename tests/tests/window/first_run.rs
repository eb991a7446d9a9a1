//! The way of a new user, and what they set.

use fantoccini::Locator;
use quaero_tests::folders;

use crate::desk::drive;

#[test]
fn a_new_user_indexes_a_folder_searches_and_reads() {
    drive("first-run", async |desk| {
        let folder = desk.folder("docs");
        let made = folders::mixed(&folder).expect("a folder");
        desk.open().await;

        desk.find("heading", "Research you can check").await;
        desk.click("button", "Index folder").await;
        desk.read("Choose a folder, or type its full path.").await;
        desk.fill("Folder", &folder.to_string_lossy()).await;
        desk.click("button", "Index folder").await;

        // The run page: counts grow until the run has ended.
        desk.find("heading", "Index a folder").await;
        desk.see("document.querySelector('[role=progressbar]')", "the progress").await;
        desk.run_is("completed").await;
        let documents = made.documents.len();
        desk.read(&format!("{documents} new")).await;
        desk.click("tab", "Log").await;
        desk.read("Found").await;

        // From here on by keys alone.
        let (word, path) = &made.phrases[42];
        desk.press(['/']).await;
        desk.see(
            "document.activeElement?.matches('input[type=search]')",
            "the keyboard in the search box",
        )
        .await;
        desk.press(word.chars()).await;
        desk.read("1 result").await;
        desk.press(['\u{e015}']).await; // Down
        desk.see(
            "document.activeElement?.matches('[data-testid=search-result]')",
            "the keyboard on a result",
        )
        .await;
        desk.press(['\u{e007}']).await; // Enter
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        desk.see(
            &format!("document.querySelector('[data-testid=reading-pane] article')?.innerText.includes('Note {name}')"),
            "the document",
        )
        .await;
        desk.see(
            &format!(
                "document.querySelector('[data-testid=reading-pane]').innerText.includes('{word}')"
            ),
            "its text",
        )
        .await;
    });
}

#[test]
fn the_theme_survives_a_restart() {
    drive("theme", async |desk| {
        desk.open().await;
        desk.click("link", "Settings").await;
        let background = "return getComputedStyle(document.body).backgroundColor";
        for theme in ["Light", "Dark"] {
            desk.click("radio", theme).await;
            desk.see(&format!("byRole('radio', '{theme}')?.checked"), "the choice").await;
        }
        let dark = desk.client().execute(background, vec![]).await.expect("a colour");
        desk.see("byRole('radio', 'Dark')?.checked", "the choice").await;
        desk.saved_theme("dark").await;
        desk.close().await;

        desk.open().await;
        let after = desk.client().execute(background, vec![]).await.expect("a colour");
        assert_eq!(after, dark, "the window opens as it was");
        desk.click("link", "Settings").await;
        desk.see("byRole('radio', 'Dark')?.checked", "the choice").await;
    });
}

#[test]
fn a_definition_with_problems_is_shown_and_cannot_be_run() {
    drive("problems", async |desk| {
        desk.define(
            "bad.toml",
            "id = \"bad\"\nname = \"Bad job\"\n\n[step.crawl]\ntype = \"crawl\"\nstart_urls = [\"https://example.org/\"]\nmax_page = 3\n",
        );
        desk.open().await;
        desk.choose_job("Bad job").await;
        desk.find("heading", "Problems").await;
        desk.read("max_pages").await;
        desk.read("line 7, column 1").await;
        desk.see("byRole('button', 'Run…')?.disabled", "a button that cannot be pressed").await;
    });
}

#[test]
fn each_row_of_the_runs_leads_to_its_own() {
    drive("rows", async |desk| {
        desk.open().await;
        for name in ["first", "second"] {
            let folder = desk.folder(name);
            folders::plain(&folder, 1).expect("a folder");
            desk.click("link", "Home").await;
            desk.fill("Folder", &folder.to_string_lossy()).await;
            desk.click("button", "Index folder").await;
            desk.run_is("completed").await;
        }
        for (row, name) in [(1, "second"), (2, "first")] {
            desk.click("link", "Runs").await;
            let last = format!("tbody tr:nth-child({row}) td:last-child");
            desk.see(&format!("document.querySelector('{last}')"), "the row").await;
            let client = desk.client();
            client.find(Locator::Css(&last)).await.expect("found").click().await.expect("clicked");
            desk.find("heading", "Index a folder").await;
            desk.read(&format!("/{name}")).await;
        }
    });
}
