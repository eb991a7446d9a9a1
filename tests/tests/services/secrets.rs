//! A panic in the middle of a call to a service, with the key at hand.

use async_trait::async_trait;
use quaero_contract::JobStatus;
use quaero_net::{MailServer, Provider, ProviderError, Providers, Session};
use quaero_tests::services::{Emulator, Searxng};
use quaero_workers::extract::PdfExtractor;

use super::*;

/// Finds what the user has set up, and falls over it.
struct Broken(Arc<dyn Providers>);

#[async_trait]
impl Providers for Broken {
    async fn find(&self, id: &str) -> Result<Provider, ProviderError> {
        let provider = self.0.find(id).await?;
        assert!(provider.key.is_none(), "there is a key in {provider:?}");
        Ok(provider)
    }

    async fn search_order(&self) -> Vec<String> {
        self.0.search_order().await
    }

    async fn mail(&self) -> Result<MailServer, ProviderError> {
        let server = self.0.mail().await?;
        assert!(server.password.is_none(), "there is a password in {server:?}");
        Ok(server)
    }

    async fn session(&self, profile: &str, now: i64) -> Result<Session, ProviderError> {
        self.0.session(profile, now).await
    }
}

#[tokio::test]
async fn a_panic_with_a_key_at_hand_fails_the_task_and_tells_no_key() {
    let searxng = Emulator::start(Searxng::finding(&["https://a.example/"]));
    let (canaries, dir) = (Canaries::new(&[KEY]), tempfile::tempdir().expect("a folder"));
    let said = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = Arc::clone(&said);
    let usual = std::panic::take_hook();
    // What the program writes into its log.
    std::panic::set_hook(Box::new(move |info| {
        heard.lock().expect("no panic before").push_str(&format!("{info}\n"));
        usual(info);
    }));
    let world = World {
        keychain: Arc::new(NoKeychain),
        environment: Arc::new(|name| name.ends_with("_API_KEY").then(|| KEY.to_owned())),
        registry: Arc::new(|providers| {
            quaero_workers::registry(PdfExtractor::InProcess, Arc::new(Broken(providers)))
        }),
        ..World::default()
    };
    let options = AppOptions { data_dir: dir.path().join("data"), role: Role::Engine };
    let app = App::open_in(world, options).await.expect("opened");
    let (clock, runs) = (Arc::new(Hurried::new(HURRY)), AtomicI64::new(0));
    let desk = Desk { dir, app, clock, runs };
    let mut settings = Settings::default();
    let base_url = Some(searxng.base_url());
    settings.providers.insert("searxng".to_owned(), ProviderSettings { base_url });
    settings.mail.host = "127.0.0.1".to_owned();
    settings.mail.user = "ann".to_owned();
    settings.mail.from = "ann@example.org".to_owned();
    desk.app.set_settings(settings).await.expect("settings that fit");
    for step in [
        "type = \"web_search\"\nquery = \"rust\"",
        "type = \"places_search\"\nsearch_query = \"dentists\"",
        "type = \"asx_stock_collector\"\nasx_codes = [\"BHP\"]",
        "type = \"email\"\nto = \"ann@example.org\"\nbody = \"Hi\"",
    ] {
        let ended = desk.run(&format!("[step.s]\n{step}\ntask_attempts = 1\n")).await;
        assert_eq!(ended.step().status, JobStatus::Failed, "{step}: {ended:?}");
        ended.says("The worker failed unexpectedly").await;
        canaries.assert_none(step, format!("{ended:?} {:?}", ended.log().await).as_bytes());
    }
    let said = said.lock().expect("no panic before").clone();
    assert!(said.matches("there is a").count() >= 4, "{said}");
    canaries.assert_none("what a panic says", said.as_bytes());
    desk.close().await;
}
