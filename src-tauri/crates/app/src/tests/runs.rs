//! Runs that lead to others, are repeated, paused and forgotten, as a host asks for them.

use async_trait::async_trait;
use quaero_contract::{RerunPart, RerunRequest, RunView, StartedBy};
use quaero_engine::work::{
    JobContext, JobWorker, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use tokio::sync::{Notify, watch};

use super::*;

/// A definition of one step that reads a folder, with more lines at its top.
fn reads(id: &str, folder: &str, top: &str) -> String {
    format!(
        "id = \"{id}\"\nname = \"{id}\"\n{top}\n[step.read]\ntype = \"local_dir\"\npath = \"{folder}\"\n"
    )
}

fn folder(bench: &Bench) -> String {
    bench.documents.path().to_string_lossy().into_owned()
}

/// Puts a file into one of the library's folders.
fn put(bench: &Bench, home: &str, id: &str, text: &str) {
    let home = bench.data.path().join(home);
    fs::create_dir_all(&home).expect("made");
    fs::write(home.join(format!("{id}.toml")), text).expect("written");
}

async fn run_text(app: &App, text: String) -> RunView {
    let (file, set) = ("x.toml".to_owned(), BTreeMap::new());
    let request_id = blake3_of(&text);
    let run = app
        .run_text(RunText { file, text, set, request_id, anyway: false })
        .await
        .expect("accepted");
    app.wait_run(run).await.expect("ended");
    app.get_run(run).await.expect("read")
}

fn blake3_of(text: &str) -> String {
    quaero_store::text_hash(text.as_bytes())[..32].to_owned()
}

#[tokio::test]
async fn jobs_before_and_after_a_run_are_runs_of_their_own_around_it() {
    let bench = Bench::new();
    for id in ["first", "last"] {
        put(&bench, "definitions", id, &reads(id, &folder(&bench), ""));
    }
    let app = bench.open(Role::Engine).await;
    let top = "pre_jobs = [\"first\"]\npost_jobs = [\"last\"]";
    let view = run_text(&app, reads("middle", &folder(&bench), top)).await;
    assert_eq!(view.summary.status, RunStatus::Completed, "{view:?}");
    let names: Vec<&str> = view.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["before:first", "read", "after:last"]);
    let mut started = Vec::new();
    for step in [&view.steps[0], &view.steps[2]] {
        let below = app.get_run(step.runs[0]).await.expect("read").summary;
        assert_eq!(below.parent_run, Some(view.summary.id));
        started.push((below.definition_id, below.started_by, below.documents.created));
    }
    let expected =
        [("first".to_owned(), StartedBy::PreJob, 2), ("last".to_owned(), StartedBy::PostJob, 0)];
    assert_eq!(started, expected, "the first one reads, the last one finds it unchanged");
}

#[tokio::test]
async fn a_template_runs_once_for_each_set_of_values() {
    let bench = Bench::new();
    let template = reads("reader", "{set:folder}", "tags = [\"{set:name_lower}\"]");
    put(&bench, "templates", "reader", &template);
    let app = bench.open(Role::Engine).await;
    let folder = folder(&bench);
    let text = format!(
        "id = \"many\"\nname = \"Many\"\n[step.all]\ntype = \"job_template\"\ntemplate = \"reader\"\nparallel = 2\n\
         variables = [{{ name = \"One\", folder = \"{folder}\" }}, {{ name = \"Two\", folder = \"{folder}\" }}]\n"
    );
    let view = run_text(&app, text).await;
    assert_eq!(view.summary.status, RunStatus::Completed, "{view:?}");
    assert_eq!((view.summary.jobs.total, view.steps[0].runs.len()), (2, 2));
    for tag in ["one", "two"] {
        let request =
            SearchRequest { tags: vec![tag.to_owned()], limit: 10, ..SearchRequest::default() };
        assert_eq!(app.search(request).await.expect("searched").total, 2, "tagged {tag}");
    }
    // A run below can be repeated in part like any other.
    let run = view.steps[0].runs[0];
    let again = rerun(&app, run, RerunPart::Failed, &[]).await;
    assert_eq!(again.steps[0].reused_from, Some(run));
}

#[cfg(unix)]
#[tokio::test]
async fn a_template_can_be_a_link_to_a_file_and_to_nothing_else() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let text = reads("far", &folder(&bench), "tags = [\"{set:name}\"]");
    fs::write(elsewhere.path().join("far.txt"), text).expect("written");
    let templates = bench.data.path().join("templates");
    fs::create_dir(&templates).expect("made");
    let far = elsewhere.path().join("far.txt");
    let targets =
        [("far", far.as_path()), ("endless", "/dev/zero".as_ref()), ("all", "/".as_ref())];
    for (name, target) in targets.into_iter().chain([("circle", "circle.toml".as_ref())]) {
        symlink(target, templates.join(format!("{name}.toml"))).expect("linked");
    }
    let app = bench.open(Role::Engine).await;
    let text = |template: &str| {
        format!(
            "id = \"x\"\nname = \"X\"\n[step.all]\ntype = \"job_template\"\ntemplate = \"{template}\"\n\
             variables = [{{ name = \"one\" }}]\n"
        )
    };
    let view = run_text(&app, text("far")).await;
    assert_eq!((view.summary.status, view.summary.jobs.failed), (RunStatus::Completed, 0));
    assert_eq!(app.info().await.expect("read").documents, 2);
    for template in ["endless", "all", "circle"] {
        let (file, set, request_id) = ("x.toml".to_owned(), BTreeMap::new(), template.to_owned());
        let wish = RunText { file, text: text(template), set, request_id, anyway: false };
        let refused = app.run_text(wish).await.expect_err("there is no such template");
        assert_eq!(refused.code, ErrorCode::Invalid, "{refused}");
        assert!(refused.message.contains(template), "{refused}");
    }
    app.close().await;
}

#[tokio::test]
async fn what_leads_nowhere_or_in_a_circle_is_refused_before_it_runs() {
    let bench = Bench::new();
    put(&bench, "definitions", "a", &reads("a", &folder(&bench), "pre_jobs = [\"b\"]"));
    put(&bench, "definitions", "b", &reads("b", &folder(&bench), "pre_jobs = [\"a\"]"));
    let app = bench.open(Role::Engine).await;
    for (id, expected) in [("a", "circle"), ("b", "circle")] {
        let view = app.get_definition(id).await.expect("read");
        assert!(view.problems.iter().any(|p| p.message.contains(expected)), "{:?}", view.problems);
        let request = RunRequest {
            request_id: id.to_owned(),
            definition_id: id.to_owned(),
            set: Vec::new(),
            anyway: false,
        };
        let refused = app.run_definition(request).await.expect_err("refused");
        assert_eq!(refused.code, ErrorCode::Invalid, "{refused}");
    }
    assert_eq!(app.list_runs(None, 10).await.expect("listed"), []);
}

async fn rerun(app: &App, run: JobId, part: RerunPart, set: &[(&str, &str)]) -> RunView {
    let pairs = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let request = RerunRequest {
        request_id: format!("again-{run}-{part:?}-{}", set.len()),
        run,
        part,
        set: set.iter().map(pairs).collect(),
        current_definition: false,
        anyway: false,
    };
    let run = app.rerun(request).await.expect("accepted");
    app.wait_run(run).await.expect("ended");
    app.get_run(run).await.expect("read")
}

#[tokio::test]
async fn a_run_is_repeated_with_the_text_and_the_values_it_had() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let first = app.run_text(bench.wish("one")).await.expect("accepted");
    app.wait_run(first).await.expect("ended");
    let second = rerun(&app, first, RerunPart::Whole, &[]).await;
    assert_eq!(second.given, app.get_run(first).await.expect("read").given);
    assert_eq!((second.summary.documents.unchanged, second.summary.rerun_of), (2, Some(first)));
    // Another folder is other work: nothing is reused.
    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("new.md"), "# New").expect("written");
    let other = other.path().to_string_lossy().into_owned();
    let third = rerun(&app, first, RerunPart::Failed, &[("folder", &other)]).await;
    assert_eq!((third.summary.documents.created, third.steps[0].reused_from), (1, None));
    let wrong = RerunRequest {
        request_id: "wrong".to_owned(),
        run: first,
        part: RerunPart::From("nowhere".to_owned()),
        set: Vec::new(),
        current_definition: false,
        anyway: false,
    };
    let refused = app.rerun(wrong).await.expect_err("refused");
    assert!(refused.to_string().contains("index"), "it names the steps: {refused}");
}

#[tokio::test]
async fn a_definition_that_changes_under_a_run_changes_nothing_in_it() {
    let bench = Bench::new();
    let other = tempfile::tempdir().expect("a folder");
    for name in ["one", "two", "three"] {
        fs::write(other.path().join(format!("{name}.md")), name).expect("written");
    }
    let text = |second: &str| {
        format!(
            "{}[step.second]\ntype = \"local_dir\"\npath = \"{second}\"\n",
            reads("pinned", &folder(&bench), "")
        )
    };
    let before = text(&folder(&bench));
    let after = text(&other.path().to_string_lossy());
    put(&bench, "definitions", "pinned", &before);
    let app = bench.open(Role::Engine).await;
    let start = |request_id: &str| RunRequest {
        request_id: request_id.to_owned(),
        definition_id: "pinned".to_owned(),
        set: Vec::new(),
        anyway: false,
    };
    // Accepted, and not yet begun.
    app.pause_all(true).await.expect("paused");
    let old = app.run_definition(start("old")).await.expect("accepted");
    put(&bench, "definitions", "pinned", &after);
    let new = app.run_definition(start("new")).await.expect("accepted");
    let again = app.run_definition(start("old")).await.expect("accepted");
    assert_eq!(again, old, "the same request is the same run, whatever the file says by now");
    // Broken, and gone: the runs have all they need.
    put(&bench, "definitions", "pinned", "id = ");
    fs::remove_file(bench.data.path().join("definitions/pinned.toml")).expect("removed");
    app.close().await;
    let app = bench.open(Role::Engine).await;
    app.pause_all(false).await.expect("goes on");
    for (run, text, documents) in [(old, &before, 2), (new, &after, 3)] {
        app.wait_run(run).await.expect("ended");
        let view = app.get_run(run).await.expect("read");
        assert_eq!(view.summary.status, RunStatus::Completed, "{view:?}");
        assert_eq!(view.definition_text, *text);
        let second = &view.steps[1].documents;
        let seen = second.created + second.updated + second.unchanged;
        assert_eq!(seen, documents, "{view:?}");
    }
}

/// A step that tells when it is at work, and ends when it is let.
#[derive(Clone, Default)]
struct Gate {
    at_work: Arc<Notify>,
    opened: Arc<Notify>,
}

impl StepManager for Gate {
    fn step_type(&self) -> &'static str {
        "gate"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn first_tasks(&self, _: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(vec![NewTask { task_type: "gate", name: "gate".to_owned(), ..NewTask::default() }])
    }
}

#[async_trait]
impl JobWorker for Gate {
    fn task_type(&self) -> &'static str {
        "gate"
    }

    async fn run(&self, _: &JobContext) -> Result<Outcome, TaskError> {
        self.at_work.notify_one();
        self.opened.notified().await;
        Ok(Outcome::default())
    }
}

#[tokio::test]
async fn what_changes_while_the_first_step_is_at_work_changes_none_of_those_after_it() {
    let bench = Bench::new();
    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("other.md"), "other").expect("written");
    let (own, other) = (folder(&bench), other.path().to_string_lossy().into_owned());
    let save = |folder: &str| {
        let text = format!(
            "id = \"pinned\"\nname = \"pinned\"\npost_jobs = [\"last\"]\n[step.one]\ntype = \"gate\"\n\
             [step.two]\ntype = \"job_template\"\ntemplate = \"reader\"\nvariables = [{{ name = \"only\" }}]\n\
             [step.three]\ntype = \"local_dir\"\npath = \"{folder}\"\n"
        );
        put(&bench, "definitions", "pinned", &text);
        put(&bench, "definitions", "last", &reads("last", folder, ""));
        put(&bench, "templates", "reader", &reads("reader", folder, "tags = [\"{set:name}\"]"));
    };
    save(&own);
    let (world, gate) = (World::default(), Gate::default());
    let (shipped, gates) = (world.registry.clone(), gate.clone());
    let registry = Arc::new(move |providers| {
        shipped(providers).with_manager(gates.clone()).with_worker(gates.clone())
    });
    let options = AppOptions { data_dir: bench.data.path().to_owned(), role: Role::Engine };
    let app = App::open_in(World { registry, ..world }, options).await.expect("opened");
    let start = |request_id: &str| RunRequest {
        request_id: request_id.to_owned(),
        definition_id: "pinned".to_owned(),
        set: Vec::new(),
        anyway: false,
    };
    let old = app.run_definition(start("old")).await.expect("accepted");
    gate.at_work.notified().await;
    save(&other);
    // The change is there for whoever asks from now on.
    assert!(app.get_definition("pinned").await.expect("read").text.contains(&other));
    gate.opened.notify_one();
    app.wait_run(old).await.expect("ended");
    let view = app.get_run(old).await.expect("read");
    assert_eq!(view.summary.status, RunStatus::Completed, "{view:?}");
    let seen: Vec<u32> =
        view.steps.iter().map(|s| s.documents.created + s.documents.unchanged).collect();
    assert_eq!(seen.len(), 4, "{view:?}");
    for (at, runs) in [(1, 1), (3, 1)] {
        assert_eq!(view.steps[at].runs.len(), runs, "{view:?}");
        let below = app.get_run(view.steps[at].runs[0]).await.expect("read").summary.documents;
        assert_eq!(below.created + below.unchanged, 2, "{}", view.steps[at].name);
    }
    assert_eq!(seen[2], 2, "{view:?}");
    assert_eq!(app.info().await.expect("read").documents, 2, "nothing of the other folder");

    gate.opened.notify_one();
    let new = app.run_definition(start("new")).await.expect("accepted");
    app.wait_run(new).await.expect("ended");
    assert_eq!(app.info().await.expect("read").documents, 3, "the next run is the changed one");
    app.close().await;
}

#[tokio::test]
async fn the_settings_decide_how_many_runs_are_kept() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let settings = Settings { keep_runs: Some(2), ..Settings::default() };
    app.set_settings(settings).await.expect("saved");
    let mut events = app.events();
    for n in 0..4 {
        let run = app.run_text(bench.wish(&format!("run {n}"))).await.expect("accepted");
        app.wait_run(run).await.expect("ended");
    }
    // The last end is what makes it look; asking again does no harm.
    while app.list_runs(None, 10).await.expect("listed").len() > 2 {
        app.prune_runs(Some(2), None).await.expect("forgotten");
    }
    assert!(events.try_recv().is_ok());
    assert_eq!(app.info().await.expect("read").documents, 2, "documents stay");
}

/// A clock that stands still until the test sets it.
struct Manual(watch::Sender<i64>);

impl Clock for Manual {
    fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn until(&self, at_ms: Option<i64>) -> futures::future::BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            let Some(at_ms) = at_ms else { return std::future::pending().await };
            if now.wait_for(|now| *now >= at_ms).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_forgets_no_run() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let bench = Bench::new();
    let begin = 1_780_272_000_000; // 2026-06-01 00:00 UTC
    // (days at the start of a process, days later in it, whether the old run is there after that)
    let processes = [
        (0, 0, true),
        (3, 3, true),
        // The clock jumps under the process, and before the start of the next one.
        (4, 4 + 365, true),
        (500, 500, true),
        (-100, -100, true),
        (5, 5, true),
        // Time that has passed while Quaero was used.
        (25, 25, true),
        (45, 45, false),
    ];
    let mut first = None;
    for (n, (start, later, kept)) in processes.into_iter().enumerate() {
        let clock = Arc::new(Manual(watch::channel(begin + start * DAY_MS).0));
        let world = World { clock: clock.clone(), ..World::default() };
        let options = AppOptions { data_dir: bench.data.path().to_owned(), role: Role::Engine };
        let app = App::open_in(world, options).await.expect("opened");
        let settings = Settings { keep_days: Some(30), ..Settings::default() };
        app.set_settings(settings).await.expect("saved");
        clock.0.send_replace(begin + later * DAY_MS);
        let run = app.run_text(bench.wish(&format!("run {n}"))).await.expect("accepted");
        app.wait_run(run).await.expect("ended");
        app.forget_old_runs().await;
        let old = *first.get_or_insert(run);
        let runs = app.list_runs(None, 100).await.expect("listed");
        assert_eq!(runs.iter().any(|run| run.id == old), kept, "process {n}");
        app.close().await;
    }
}

#[tokio::test]
async fn a_scheduled_definition_runs_at_its_time_by_itself() {
    let bench = Bench::new();
    let top = "schedule = \"30 7 * * *\"\ntimezone = \"UTC\"";
    // One step needs what is not set up, and nobody is there to be asked.
    let search = "[step.search]\ntype = \"web_search\"\nquery = \"a\"\ndepends = []\n";
    let text = format!("{}{search}", reads("morning", &folder(&bench), top));
    put(&bench, "definitions", "morning", &text);
    let midnight: i64 = 1_780_272_000_000; // 2026-06-01 00:00 UTC
    let clock = Arc::new(Manual(watch::channel(midnight).0));
    let world = World { clock: clock.clone(), ..World::default() };
    let options = AppOptions { data_dir: bench.data.path().to_owned(), role: Role::Engine };
    let app = App::open_in(world, options).await.expect("opened");
    let schedule = app.schedules().await.expect("read").remove(0);
    assert_eq!(schedule.next[0], "2026-06-01T07:30:00.000Z", "{schedule:?}");
    let mut events = app.events();
    clock.0.send_replace(midnight + 7 * 3_600_000 + 30 * 60_000);
    let started = async {
        loop {
            if let Ok(event) = events.recv().await
                && let Some(run) = event.run_id()
            {
                return run;
            }
        }
    };
    let run = tokio::time::timeout(Duration::from_secs(20), started).await.expect("it runs");
    let ended = app.wait_run(run).await.expect("ended");
    assert_eq!((ended.started_by, ended.documents.created), (StartedBy::Schedule, 2));
    let steps = app.get_run(run).await.expect("found").steps;
    let statuses: Vec<JobStatus> = steps.iter().map(|step| step.status).collect();
    assert_eq!(statuses, [JobStatus::Completed, JobStatus::Failed], "{steps:?}");
    let told = steps[1].error.as_ref().expect("it is told");
    assert!(told.message.contains("No search service is set up: "), "{told:?}");
    let schedule = app.schedules().await.expect("read").remove(0);
    assert_eq!((schedule.last_run, schedule.started), (Some(run), 1));
    assert_eq!(schedule.next[0], "2026-06-02T07:30:00.000Z");
}

#[tokio::test]
async fn what_is_not_set_up_is_told_before_anything_is_done() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let with = |step: &str| {
        format!("{}[step.other]\n{step}\ndepends = []\n", reads("x", &folder(&bench), ""))
    };
    let run = async |text: &str, anyway| {
        let (file, text, request_id) = ("x.toml".to_owned(), text.to_owned(), blake3_of(text));
        app.run_text(RunText { file, text, set: BTreeMap::new(), request_id, anyway }).await
    };
    let crawl = "type = \"crawl\"\nstart_urls = [\"https://example.com/\"]";
    for (step, said) in [
        (
            "type = \"web_search\"\nquery = \"a\"",
            "No search service is set up: SearXNG needs an address, Brave Search needs a key, ",
        ),
        ("type = \"places_search\"\nsearch_query = \"a\"", "Google Places needs a key."),
        ("type = \"asx_stock_collector\"\nasx_codes = [\"BHP\"]", "EODHD needs a key."),
        (
            "type = \"email\"\nto = \"a@example.com\"\nsubject = \"a\"\nbody = \"a\"",
            "E-mail has no address yet.",
        ),
        (&format!("{crawl}\nauth_id = \"work\""), "There is no sign-in profile `work`."),
    ] {
        let text = with(step);
        let refused = run(&text, false).await.expect_err("something is missing");
        assert_eq!(refused.code, ErrorCode::NotSetUp, "{refused}");
        assert!(
            refused.message.starts_with("Step `other`: ") && refused.message.contains(said),
            "{refused}"
        );
    }
    assert_eq!(app.list_runs(None, 1).await.expect("listed"), [], "nothing has begun");

    // In a job before it, too, under the name that its definition knows.
    let search =
        "id = \"first\"\nname = \"First\"\n[step.inner]\ntype = \"web_search\"\nquery = \"a\"\n";
    put(&bench, "definitions", "first", search);
    let text = reads("x", &folder(&bench), "pre_jobs = [\"first\"]");
    let refused = run(&text, false).await.expect_err("the first job needs it");
    assert!(refused.message.starts_with("Step `before:first`: No search"), "{refused}");

    let text = with("type = \"web_search\"\nquery = \"a\"");
    let id = run(&text, true).await.expect("it was asked for");
    let ended = app.wait_run(id).await.expect("ended");
    assert_eq!(ended.documents.created, 2, "{ended:?}");
    let view = app.get_run(id).await.expect("found");
    let statuses: Vec<JobStatus> = view.steps.iter().map(|step| step.status).collect();
    assert_eq!(statuses, [JobStatus::Completed, JobStatus::Failed], "what does not need it works");
    assert_eq!(run(&text, false).await, Ok(id), "what was accepted is not asked again");
    let again = async |part, anyway| {
        let request_id = format!("{part:?} {anyway}");
        let (set, current_definition) = (Vec::new(), false);
        app.rerun(RerunRequest { request_id, run: id, part, set, current_definition, anyway }).await
    };
    // What has not completed is done again, whichever step is asked for.
    let from = |step: &str| RerunPart::From(step.to_owned());
    for part in [RerunPart::Whole, RerunPart::Failed, from("other"), from("read")] {
        let refused = again(part, false).await.expect_err("it is still missing");
        assert_eq!(refused.code, ErrorCode::NotSetUp, "{refused}");
    }
    again(RerunPart::Failed, true).await.expect("it was asked for");

    for step in [
        "type = \"asx_stock_collector\"\nasx_codes = [\"BHP\"]\nprovider = \"synthetic\"",
        "type = \"email\"\nto = \"a@example.com\"\nsubject = \"a\"\nbody = \"a\"\nsend = false",
    ] {
        let id = run(&with(step), false).await.expect("nothing is missing");
        app.wait_run(id).await.expect("ended");
        let steps = app.get_run(id).await.expect("found").steps;
        assert!(steps.iter().all(|step| step.status == JobStatus::Completed), "{steps:?}");
    }
    app.close().await;
}
