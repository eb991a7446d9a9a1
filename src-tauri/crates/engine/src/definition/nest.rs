//! Definitions that lead to others: templates that a step runs, and jobs before and after. Here
//! they are found, followed to their ends, and counted.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    rc::Rc,
};

use quaero_contract::{Problem, Severity};

use super::{
    Definition, LIMITS, Step, check_file,
    fault::{Fault, Faults, Span, did_you_mean, quote},
    format,
    schema::Schemas,
    template,
};
use crate::work::Registry;

static NO_SETTINGS: BTreeMap<String, String> = BTreeMap::new();

/// A file of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryFile {
    /// Its name; one that ends in `.json` means JSON, any other TOML.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where definitions and templates are found by their id. An id is never a path: it has been
/// checked to be `[a-z0-9_-]{1,64}` before it is asked for.
pub trait Library {
    /// The definition with this id.
    fn definition(&self, id: &str) -> Option<LibraryFile>;

    /// The template with this id.
    fn template(&self, id: &str) -> Option<LibraryFile>;

    /// The ids of all definitions, for suggestions.
    fn definition_ids(&self) -> Vec<String> {
        Vec::new()
    }

    /// The ids of all templates, for suggestions.
    fn template_ids(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is around a definition while it is checked or bound.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The step types.
    pub registry: &'a Registry,
    /// What `{key}` stands for if `[config]` has no such key.
    pub settings: &'a BTreeMap<String, String>,
    /// Where other definitions and templates are. Without it, checking does not look whether they
    /// exist, and a definition that leads to any cannot be bound.
    pub library: Option<&'a dyn Library>,
}

impl<'a> World<'a> {
    /// A world without settings and without other definitions.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, settings: &NO_SETTINGS, library: None }
    }
}

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Definition,
    Template,
}

/// A file by what it is and its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) role: Role,
    pub(super) id: String,
}

impl Link {
    pub(super) fn definition(id: &str) -> Self {
        Self { role: Role::Definition, id: id.to_owned() }
    }

    pub(super) fn template(id: &str) -> Self {
        Self { role: Role::Template, id: id.to_owned() }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.role {
            Role::Definition => "definition",
            Role::Template => "template",
        };
        write!(f, "{kind} `{}`", quote(&self.id))
    }
}

/// Why a way cannot be followed to its end.
#[derive(Clone, Debug)]
pub(super) struct Blocked {
    code: Cow<'static, str>,
    message: String,
    fix: Option<String>,
}

impl Blocked {
    fn new(code: &'static str, message: String) -> Self {
        Self { code: code.into(), message, fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(super) fn fault(self, span: &Span) -> Fault {
        Fault::new(span, self.code, self.message).maybe_fix(self.fix)
    }
}

/// What one check or one run reads and may use up, however far its definitions lead.
pub(super) struct Nest<'w> {
    pub(super) world: World<'w>,
    pub(super) schemas: Schemas<'w>,
    read: HashMap<Link, Rc<Result<Definition, Vec<Problem>>>>,
    /// The way from the first definition to the one that is looked at.
    chain: Vec<Link>,
    /// Definitions below the first that were bound.
    bound: usize,
    /// Bytes that filling placeholders may still produce.
    pub(super) output_left: usize,
    /// Bytes of text that may still be copied from templates and other definitions.
    text_left: usize,
    /// Patterns that were looked at.
    pub(super) patterns: HashSet<String>,
}

impl<'w> Nest<'w> {
    /// Begins at a definition.
    pub(super) fn new(world: World<'w>, first: Link) -> Self {
        Self {
            schemas: Schemas::new(world.registry),
            world,
            read: HashMap::new(),
            chain: vec![first],
            bound: 0,
            output_left: LIMITS.output_bytes,
            text_left: LIMITS.nested_bytes,
            patterns: HashSet::new(),
        }
    }

    /// Goes into another definition; [`Self::leave`] follows if this succeeds.
    pub(super) fn enter(
        &mut self,
        link: Link,
    ) -> Result<Rc<Result<Definition, Vec<Problem>>>, Blocked> {
        if let Some(first) = self.chain.iter().position(|open| *open == link) {
            let circle = &self.chain[first..];
            return Err(Blocked::new(
                "cycle",
                format!("This leads round in a circle: {}.", way(circle, &link)),
            )
            .fix("Remove one of these."));
        }
        if self.chain.len() > LIMITS.nesting {
            let message = format!(
                "This leads more than {} definitions deep: {}.",
                LIMITS.nesting,
                way(&self.chain, &link)
            );
            return Err(Blocked::new("too_deep", message).fix("Make the way shorter."));
        }
        let found = match self.read.get(&link) {
            Some(found) => Rc::clone(found),
            None => {
                let found = Rc::new(self.load(&link)?);
                self.read.insert(link.clone(), Rc::clone(&found));
                found
            }
        };
        self.chain.push(link);
        Ok(found)
    }

    pub(super) fn leave(&mut self) {
        self.chain.pop();
    }

    /// Counts a definition that is about to be bound.
    pub(super) fn count(&mut self, definition: &Definition) -> Result<(), Blocked> {
        self.bound += 1;
        if self.bound > LIMITS.instances {
            let message = format!("This makes more than {} runs in all.", LIMITS.instances);
            return Err(Blocked::new("too_many", message).fix("Use fewer variables."));
        }
        match self.text_left.checked_sub(definition.text().len()) {
            Some(left) => self.text_left = left,
            None => {
                let message = format!(
                    "The runs of this have more than {} bytes in all.",
                    LIMITS.nested_bytes
                );
                return Err(Blocked::new("too_large", message)
                    .fix("Use fewer variables or a shorter template."));
            }
        }
        Ok(())
    }

    fn load(&self, link: &Link) -> Result<Result<Definition, Vec<Problem>>, Blocked> {
        let library = self.world.library;
        let (file, code) = match link.role {
            Role::Definition => {
                (library.and_then(|l| l.definition(&link.id)), "unknown_definition")
            }
            Role::Template => (library.and_then(|l| l.template(&link.id)), "unknown_template"),
        };
        let Some(file) = file else {
            let mut message = format!("There is no {link}.");
            if self.chain.len() > 1 {
                message =
                    format!("There is no {link}, to which this leads: {}.", way(&self.chain, link));
            }
            let ids = library.map_or_else(Vec::new, |library| match link.role {
                Role::Definition => library.definition_ids(),
                Role::Template => library.template_ids(),
            });
            let fix = did_you_mean(&link.id, ids.iter().map(String::as_str)).unwrap_or_else(|| {
                let mut shown: Vec<&str> = ids.iter().map(String::as_str).take(20).collect();
                shown.sort_unstable();
                if shown.is_empty() {
                    "Name one that exists.".to_owned()
                } else {
                    format!("Known are: {}.", shown.join(", "))
                }
            });
            return Err(Blocked::new(code, message).fix(fix));
        };
        // Where it leads itself is looked at by whoever goes on from it.
        let world = World { library: None, ..self.world };
        let checked = check_file(&file.name, file.text.as_bytes(), link.role, &world);
        Ok(checked.definition.ok_or(checked.problems))
    }
}

/// The links with arrows between them.
fn way(links: &[Link], last: &Link) -> String {
    let all: Vec<String> = links.iter().chain([last]).map(Link::to_string).collect();
    all.join(" → ")
}

/// Problems of another file as problems of the place that leads there.
pub(super) fn wrapped<'p>(
    what: &str,
    problems: &'p [Problem],
    span: &'p Span,
) -> impl Iterator<Item = Fault> {
    let what = what.to_owned();
    problems.iter().filter(|problem| problem.severity == Severity::Error).take(3).map(
        move |problem| {
            let message = format!("In {what}, line {}: {}", problem.line, problem.message);
            Fault::new(span, problem.code.clone(), message).maybe_fix(problem.fix.clone())
        },
    )
}

/// Checks that everything to which a definition leads is there and right, and that no way comes back.
pub(super) fn check(definition: &Definition, world: World<'_>, faults: &mut Faults) {
    if world.library.is_none() {
        return;
    }
    let first = Link { role: definition.role, id: definition.id.clone() };
    let mut walk = Walk { nest: Nest::new(world, first.clone()), heights: HashMap::new() };
    for node in definition.pre.iter().chain(&definition.post) {
        // That a definition names itself is said already.
        let link = Link::definition(node.as_str().unwrap_or_default());
        if usable(&link.id) && link != first {
            walk.follow(link, &node.span, faults);
        }
    }
    for step in definition.steps.iter().filter(|step| step.step_type == template::STEP_TYPE) {
        let Some((id, span)) = named_template(step) else { continue };
        faults.in_step(Some(&step.name));
        if walk.follow(Link::template(&id), &span, faults)
            && let Some(Ok(template)) = walk.nest.read.get(&Link::template(&id)).map(Rc::as_ref)
        {
            template::check_keys(step, definition, template, faults);
        }
        faults.in_step(None);
    }
}

fn usable(id: &str) -> bool {
    format::check("id", &id.into()).is_ok()
}

/// The template that a step names, unless the name depends on values.
fn named_template(step: &Step) -> Option<(String, Span)> {
    let node = step.source.get("template")?;
    let id = node.as_str().filter(|id| usable(id))?;
    Some((id.to_owned(), node.span.clone()))
}

struct Walk<'w> {
    nest: Nest<'w>,
    /// How far what was looked at leads.
    heights: HashMap<Link, usize>,
}

impl Walk<'_> {
    /// Follows a link of the first definition. Whether all is well.
    fn follow(&mut self, link: Link, span: &Span, faults: &mut Faults) -> bool {
        let what = link.to_string();
        let height = self.height(link.clone());
        self.nest.chain.truncate(1);
        if let Err(blocked) = height {
            faults.add(blocked.fault(span));
            return false;
        }
        match self.nest.read.get(&link).map(Rc::as_ref) {
            Some(Err(problems)) => {
                wrapped(&what, problems, span).for_each(|fault| faults.add(fault));
                false
            }
            _ => true,
        }
    }

    /// How many definitions deep a link leads. After an error the chain is left as it was there.
    fn height(&mut self, link: Link) -> Result<usize, Blocked> {
        if let Some(height) = self.heights.get(&link)
            && self.nest.chain.len() + height <= LIMITS.nesting + 1
        {
            return Ok(*height);
        }
        let found = self.nest.enter(link.clone())?;
        let mut height = 1;
        if let Ok(definition) = found.as_ref() {
            let jobs = definition.pre.iter().chain(&definition.post);
            let jobs = jobs.filter_map(|node| node.as_str()).map(Link::definition);
            let steps = definition.steps.iter();
            let templates = steps.filter(|step| step.step_type == template::STEP_TYPE);
            let templates = templates.filter_map(named_template).map(|(id, _)| Link::template(&id));
            for next in jobs.chain(templates) {
                height = height.max(1 + self.height(next)?);
            }
        }
        self.nest.leave();
        self.heights.insert(link, height);
        Ok(height)
    }
}
