//! `email`.

use quaero_contract::{JobStatus, MailSecurity, MailSettings};
use quaero_tests::services::{Emulator, KEY, Searxng, SmtpFault, SmtpServer, USER};

use super::{Desk, Ended};

fn settings(server: &SmtpServer) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(server.port()),
        security: MailSecurity::None,
        user: USER.to_owned(),
        from: "Quaero <quaero@example.org>".to_owned(),
    }
}

async fn desk(server: &SmtpServer) -> Desk {
    let mail = settings(server);
    Desk::opened(&[("smtp", "")], |settings| settings.mail = mail).await
}

fn mail(more: &str) -> String {
    format!("[step.mail]\ntype = \"email\"\nto = \"ann@example.org\"\n{more}\n")
}

/// The last step's end.
fn status(ended: &Ended) -> JobStatus {
    ended.view.steps.last().expect("a step").status
}

/// The text of a message with the line breaks of its encoding taken out.
fn unfolded(text: &str) -> String {
    text.replace("=\r\n", "").replace("=3D", "=").replace("=20", " ")
}

#[tokio::test]
async fn a_report_is_sent_and_a_copy_kept() {
    let server = SmtpServer::start(false);
    let searxng = Emulator::start(Searxng::finding(&["https://a.example/"]));
    let mail_settings = settings(&server);
    let desk = Desk::opened(&[("smtp", ""), ("searxng", &searxng.base_url())], |settings| {
        settings.mail = mail_settings;
    })
    .await;
    let steps = "[step.s]\ntype = \"web_search\"\nquery = \"rust\"\n\
                 [step.mail]\ntype = \"email\"\nto = [\"ann@example.org\", \"Bob <bob@example.org>\"]\n\
                 subject = \"Daily\"\nbody_from_tag = \"web-search\"\nattachment = \"html\"\n";
    let ended = desk.run(steps).await;
    assert_eq!(status(&ended), JobStatus::Completed, "{ended:?}");
    let mails = server.mails();
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["ann@example.org", "bob@example.org"], "each gets one of their own");
    for mail in &mails {
        assert!(mail.signed_in);
        assert_eq!(mail.header("Subject"), Some("Daily"));
        assert_eq!(mail.header("From"), Some("Quaero <quaero@example.org>"));
        let text = unfolded(&mail.text);
        for part in ["text/plain", "text/html", "https://a.example/", "Web-search-rust.html"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    let copies: Vec<_> = desk
        .documents()
        .into_iter()
        .filter(|(_, document)| document.tags.contains(&"email".to_owned()))
        .collect();
    let ids: Vec<Option<&str>> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    for (id, copy) in &copies {
        assert!(ids.contains(&Some(id)), "{id} in {ids:?}");
        assert_eq!(copy.title, "Daily");
        assert!(copy.markdown.contains("https://a.example/"));
    }
    assert_eq!(copies.len(), 2);

    // The same run again is another one, and its text is not the copy of the first.
    let ended = desk.run(steps).await;
    assert_eq!((status(&ended), server.mails().len()), (JobStatus::Completed, 4), "{ended:?}");
    assert!(
        !server.mails()[2].text.contains("Daily</title></head><body><div class=\"page\"><h1>Daily")
    );
    desk.close().await;
}

#[tokio::test]
async fn a_message_can_be_looked_at_before_it_is_sent() {
    // Nobody is needed who would send it.
    let desk = Desk::opened(&[], |_| ()).await;
    let step = mail("subject = \"Daily\"\nbody = \"Hello **Ann**\"\nsend = false");
    let ended = desk.run(&step).await;
    assert_eq!(status(&ended), JobStatus::Completed, "{ended:?}");
    ended.says("is kept and was not sent").await;
    let documents = desk.documents();
    let draft = documents.values().next().expect("what would be sent is kept");
    assert_eq!((&*draft.title, draft.markdown.trim()), ("Daily", "Hello **Ann**"));
    assert!(draft.tags.contains(&"email-draft".to_owned()), "{:?}", draft.tags);
    assert!(!draft.tags.contains(&"email".to_owned()), "it was not sent: {:?}", draft.tags);
    desk.close().await;

    // The same step, sent after all, is not kept from it by the draft.
    let server = SmtpServer::start(false);
    let desk = self::desk(&server).await;
    desk.run(&step).await;
    assert_eq!(server.mails().len(), 0);
    desk.run(&mail("subject = \"Daily\"\nbody = \"Hello **Ann**\"")).await;
    assert_eq!(server.mails().len(), 1);
    desk.close().await;
}

#[tokio::test]
async fn what_a_server_says_decides_what_happens_next() {
    use SmtpFault as F;
    let rows = [
        (F::Closed, 0, "refused the message (554"),
        (
            F::BadPassword,
            0,
            "refused the user or the password (535: 5.7.8 Error: authentication failed: ***",
        ),
        (
            F::NoSuchUser,
            0,
            "refused the message (550: 5.1.1 <ann@example.org>: Recipient address rejected: User unknown",
        ),
        (F::TooLarge, 0, "refused the message (552"),
        (F::Greylisting, 1, "does not take the message yet (451"),
        (F::HangUp, 1, "broke the connection off"),
        (F::HangUpAfterData, 2, "broke the connection off"),
    ];
    for (fault, mails, said) in rows {
        let server = SmtpServer::start(false);
        let desk = desk(&server).await;
        server.fail_next([fault]);
        let ended = desk.run(&mail("body = \"Hi\"")).await;
        let expected = if mails == 0 { JobStatus::Failed } else { JobStatus::Completed };
        assert_eq!(status(&ended), expected, "{fault:?}: {ended:?}");
        ended.says(said).await;
        let sent = server.mails();
        assert_eq!(sent.len(), mails, "{fault:?}");
        let mut ids: Vec<_> = sent.iter().map(|mail| mail.header("Message-ID")).collect();
        ids.dedup();
        assert!(ids.len() <= 1, "a repeated message is known by its id: {ids:?}");
        desk.close().await;
    }
}

#[tokio::test]
async fn who_has_got_a_message_does_not_get_it_again() {
    let server = SmtpServer::start(false);
    let desk = desk(&server).await;
    // The second message hangs, so that the step takes too long and is tried again.
    server.fail_after(1, SmtpFault::Silent);
    let step = "[step.mail]\ntype = \"email\"\nto = [\"ann@example.org\", \"bob@example.org\"]\n\
                body = \"Hi\"\non_error = \"retry\"\nmax_attempts = 2\ntimeout = \"60s\"\n";
    let ended = desk.run(step).await;
    assert_eq!(status(&ended), JobStatus::Completed, "{ended:?}");
    let mut to: Vec<String> = server.mails().into_iter().map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["ann@example.org", "bob@example.org"], "{ended:?}");
    ended.says("has got this message already").await;
    desk.close().await;
}

#[tokio::test]
async fn nothing_is_said_without_the_protection_that_was_asked_for() {
    for (offers, security, said) in [
        (false, MailSecurity::StartTls, "127.0.0.1 cannot be used as the settings say"),
        (true, MailSecurity::StartTls, "127.0.0.1"),
        (false, MailSecurity::Tls, "127.0.0.1"),
    ] {
        let server = SmtpServer::start(offers);
        let mail_settings = MailSettings { security, ..settings(&server) };
        let desk = Desk::opened(&[("smtp", "")], |settings| settings.mail = mail_settings).await;
        let ended =
            desk.run(&mail("body = \"Hi\"\ntask_attempts = 1\ntask_timeout = \"200s\"")).await;
        assert_eq!(status(&ended), JobStatus::Failed, "{ended:?}");
        ended.says(said).await;
        assert_eq!(server.mails().len(), 0);
        let lines = server.lines();
        for word in ["AUTH", "MAIL", "DATA"] {
            assert!(!lines.iter().any(|line| line.starts_with(word)), "{security:?}: {lines:?}");
        }
        if offers {
            assert_eq!(lines.last().map(String::as_str), Some("[22]"), "TLS begins: {lines:?}");
        }
        desk.close().await;
    }
    let far =
        MailSettings { host: "mail.example.org".to_owned(), ..settings(&SmtpServer::start(false)) };
    let desk = Desk::with(&[]).await;
    let refused =
        desk.app.set_settings(quaero_contract::Settings { mail: far, ..Default::default() });
    let refused = refused.await.expect_err("only nearby");
    assert!(refused.message.contains("can do without TLS"), "{refused}");
    desk.close().await;
}

#[tokio::test]
async fn a_failed_step_is_told_with_the_log() {
    let server = SmtpServer::start(false);
    let desk = desk(&server).await;
    let steps = "[step.find]\ntype = \"web_search\"\nquery = \"rust\"\n\
                 [step.mail]\ntype = \"email\"\nto = \"ann@example.org\"\nalways_run = true\n\
                 body_from_tag = \"web-search\"\non_error_subject = \"It broke\"\n";
    let ended = desk.run(steps).await;
    assert_eq!(status(&ended), JobStatus::Completed, "{ended:?}");
    let text = unfolded(&server.mails()[0].text);
    assert_eq!(server.mails()[0].header("Subject"), Some("It broke"));
    for part in ["**find**", "No search service is set up", "The last lines of the log"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    desk.run(&format!("{steps}include_logs_on_error = false\n")).await;
    assert!(!server.mails()[1].text.contains("The last lines of the log"));

    let ended = desk.run(&mail("body_from_tag = \"nothing\"")).await;
    ended.says("No document has the tags nothing").await;
    desk.close().await;
}

#[tokio::test]
async fn the_mail_server_can_be_tested() {
    let server = SmtpServer::start(false);
    let desk = desk(&server).await;
    let test = desk.app.test_provider("smtp").await.expect("tested");
    assert!(test.ok, "{test:?}");
    server.fail_next([SmtpFault::BadPassword]);
    let test = desk.app.test_provider("smtp").await.expect("tested");
    assert!(
        !test.ok && test.message.contains("password") && !test.message.contains(KEY),
        "{test:?}"
    );
    assert_eq!(server.mails().len(), 0, "nothing is sent");
    desk.close().await;

    let desk = Desk::with(&[]).await;
    let test = desk.app.test_provider("smtp").await.expect("tested");
    assert!(test.message.contains("no address yet"), "{test:?}");
    desk.close().await;
}
