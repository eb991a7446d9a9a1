//! Pages that want more than to be read.

use quaero_tests::{folders, site::HostileSite};

use crate::desk::drive;

/// Ways to run a script in a careless reader. Each would set `window.__pwned`.
const CORPUS: [&str; 24] = [
    "<script>window.__pwned=1</script>",
    "<img src=x onerror=\"window.__pwned=1\">",
    "<svg onload=\"window.__pwned=1\"></svg>",
    "<svg><animate onbegin=\"window.__pwned=1\" attributeName=x dur=1s></svg>",
    "<svg><set attributeName=href to=\"javascript:window.__pwned=1\"></set></svg>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=\"window.__pwned=1\"></style></mglyph></math>",
    "<iframe srcdoc=\"<script>parent.__pwned=1</script>\"></iframe>",
    "<iframe src=\"javascript:parent.__pwned=1\"></iframe>",
    "<object data=\"data:text/html,<script>parent.__pwned=1</script>\"></object>",
    "<embed src=\"javascript:window.__pwned=1\">",
    "<details open ontoggle=\"window.__pwned=1\"><summary>x</summary></details>",
    "<input autofocus onfocus=\"window.__pwned=1\">",
    "<video src=x onerror=\"window.__pwned=1\"></video>",
    "<body onpageshow=\"window.__pwned=1\">",
    "<style>@import 'javascript:window.__pwned=1';</style>",
    "<link rel=stylesheet href=\"data:text/css,*{color:red}\">",
    "<base href=\"javascript:window.__pwned=1//\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:window.__pwned=1\">",
    "<form action=\"javascript:window.__pwned=1\"><button>Send</button></form>",
    "<noscript><p title=\"</noscript><img src=x onerror=window.__pwned=1>\"></noscript>",
    "<a href=\"javascript:window.__pwned=1\">link to press</a>",
    "<a href=\"java&#9;script:window.__pwned=1\">link to press</a>",
    "<div id=__TAURI_INTERNALS__></div><form id=__TAURI__><input name=invoke></form>",
    "<p style=\"background:url(javascript:window.__pwned=1)\" onclick=\"window.__pwned=1\">press me</p>",
];

/// Where a document is read.
const READER: &str = "[data-testid=reading-pane] article";

#[test]
fn no_page_that_is_read_runs_a_script() {
    drive("scripts", async |desk| {
        let folder = desk.folder("docs");
        let all = CORPUS.join("\n<p>between</p>\n");
        let html = format!(
            "<!doctype html><title><img src=x onerror=window.__pwned=1></title><h1>Corpus</h1>\n<p>A zebra.</p>\n{all}<p>The end of the corpus.</p>"
        );
        folders::write(&folder, "corpus.html".as_ref(), html.as_bytes()).expect("written");
        let links = "\n\n[press one](javascript:window.__pwned=1) ![x](javascript:window.__pwned=1) [press two](data:text/html,<script>1</script>)\n";
        let markdown = format!(
            "# Corpus\n\nA walrus.\n\n{}\n{links}\nThe end of the corpus.\n",
            CORPUS.join("\n\n")
        );
        folders::write(&folder, "corpus.md".as_ref(), markdown.as_bytes()).expect("written");
        desk.open().await;
        desk.fill("Folder", &folder.to_string_lossy()).await;
        desk.click("button", "Index folder").await;
        desk.run_is("completed").await;

        for word in ["zebra", "walrus"] {
            desk.click("link", "Documents").await;
            desk.fill("Search documents", word).await;
            let only = format!(
                "(() => {{ const all = document.querySelectorAll('[data-testid=search-result]'); \
                 return all.length === 1 && all[0].innerText.includes('{word}') ? all[0] : null }})()"
            );
            let result = desk.see(&only, "the one result").await;
            desk.element(&result).click().await.expect("clicked");
            let shown = format!(
                "(() => {{ const read = document.querySelector('{READER} .prose')?.innerText ?? ''; \
                 return read.includes('{word}') && read.includes('The end of the corpus') }})()"
            );
            desk.see(&shown, "the document").await;
            // Everything that can be pressed is pressed.
            let press = format!(
                "for (const one of document.querySelectorAll('{READER} .prose *')) one.click()"
            );
            desk.client().execute(&press, vec![]).await.expect("clicked");
            desk.see("!window.__pwned", "a page without a script").await;
            let left = format!("return [...document.querySelectorAll('{READER} .prose *')]
                .filter((one) => /^(script|iframe|object|embed|style|link|base|meta|form|input|svg|math|video)$/i.test(one.tagName)
                    || [...one.attributes].some((a) => /^on|^style$|^id$/i.test(a.name) || /^\\s*(javascript|data):/i.test(a.value)))
                .map((one) => one.outerHTML)");
            let left = desk.client().execute(&left, vec![]).await.expect("looked");
            assert_eq!(left, serde_json::json!([]), "what must not get into the page");
            let place =
                desk.client().execute("return location.origin", vec![]).await.expect("an address");
            assert_eq!(place, "tauri://localhost");
        }
        let pwned =
            desk.client().execute("return window.__pwned ?? null", vec![]).await.expect("looked");
        assert!(pwned.is_null(), "a script of the page ran");
    });
}

#[test]
fn the_window_goes_nowhere_and_loads_nothing_from_outside() {
    drive("outside", async |desk| {
        let site = HostileSite::serve().expect("a port");
        desk.open().await;
        let here = desk.client().current_url().await.expect("an address");
        let ways = [
            "location.href = ADDRESS",
            "location.assign(ADDRESS)",
            "window.open(ADDRESS)",
            "const a = document.createElement('a'); a.href = ADDRESS; a.target = '_blank'; document.body.append(a); a.click()",
            "const a = document.createElement('a'); a.href = ADDRESS; a.download = 'x'; document.body.append(a); a.click()",
            "const f = document.createElement('form'); f.action = ADDRESS; document.body.append(f); f.submit()",
            "const i = document.createElement('iframe'); i.src = ADDRESS; document.body.append(i)",
            "new Image().src = ADDRESS",
            "fetch(ADDRESS).catch(() => {})",
            "navigator.sendBeacon(ADDRESS)",
            "new WebSocket(ADDRESS.replace('http', 'ws'))",
            "const s = document.createElement('script'); s.src = ADDRESS; document.body.append(s)",
            "const m = document.createElement('meta'); m.httpEquiv = 'refresh'; m.content = '0;url=' + ADDRESS; document.head.append(m)",
        ];
        for (at, way) in ways.iter().enumerate() {
            let address = serde_json::json!(site.url(&format!("/page/{at}")));
            // What throws is refused as well.
            let script =
                format!("try {{ {} }} catch {{}}", way.replace("ADDRESS", &address.to_string()));
            desk.client()
                .execute(&script, vec![])
                .await
                .unwrap_or_else(|error| panic!("{way}: {error}"));
        }
        // Two rounds through the page's own loop: whatever was begun has begun.
        let settle = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300)))";
        desk.client().execute_async(settle, vec![]).await.expect("the page still runs");
        assert_eq!(site.hits().into_keys().collect::<Vec<_>>(), [""; 0], "the outside was reached");
        assert_eq!(desk.client().current_url().await.expect("an address"), here);
        assert_eq!(desk.client().windows().await.expect("a list").len(), 1);
        // The refusals are reported as errors of the page, as they should be.
        let refused = desk.client().execute(
            "return window.__faults.splice(0).filter((fault) => fault.startsWith('policy')).length",
            vec![],
        );
        assert!(refused.await.expect("a count").as_u64() >= Some(5));
    });
}
