// The definitions that the in-memory backend knows.

import type { DefinitionView } from "../types";

const indexFolder = `# Reads a folder of documents and makes it searchable.
id = "index-folder"
name = "Index a folder"
description = "Reads Markdown, HTML, text, source and PDF files and makes them searchable."

[config]
folder = ""
tag = "folder"

[step.read]
type = "local_dir"
description = "Read every document below the folder"
path = "{folder}"
tags = ["{tag}"]

[step.index]
type = "reindex"
description = "Rebuild and prove the full-text index"
depends = "read"
`;

const crawlSite = `# Crawls one site politely.
id = "crawl-site"
name = "Crawl a site"
description = "Follows the links of one site and keeps each page as clean, searchable text."

[config]
start_url = ""
max_pages = 500
follow_links = true

[step.crawl]
type = "crawl"
description = "Fetch the pages, one after another"
start_urls = ["{start_url}"]
max_depth = 5
max_pages = "{max_pages}"

[step.index]
type = "reindex"
description = "Rebuild and prove the full-text index"
depends = "crawl"
`;

const broken = `id = "energy-news"
name = "Energy news"
description = "Two sources, once a day."

[step.fetch]
type = "crawl"
start_urls = ["https://example.org/news"]
max_page = 40

[step.clean]
type = "transform"
depends = "fetched"
`;

const morning = `# What three sites say in the morning.
id = "morning-papers"
name = "Morning papers"
description = "Reads three front pages before work and keeps what is new."
schedule = "0 7 * * *"
timezone = "Australia/Sydney"
enabled = true

[config]
start_url = "https://example.org/news/"
max_pages = 40

[step.crawl]
type = "crawl"
description = "Fetch the pages, one after another"
start_urls = ["{start_url}"]
max_pages = "{max_pages}"
on_error = "retry"
max_attempts = 3

[step.index]
type = "reindex"
depends = "crawl"
condition = "steps.crawl.completed"
`;

const changes = `id = "handbook-changes"
name = "Handbook changes"
description = "Looks every few hours whether the handbook has changed."
schedule = "0 */6 * * *"
enabled = false

[step.crawl]
type = "crawl"
start_urls = ["https://example.net/handbook/"]

[step.index]
type = "reindex"
depends = "crawl"
`;

/** The file that the chooser of the in-memory backend finds. */
export const imported: DefinitionView = {
  summary: {
    id: "library-news",
    name: "Library news",
    description: "New titles of the city library.",
    origin: "user",
    file: "",
    step_types: ["crawl", "reindex"],
    inputs: [],
    errors: 0,
    warnings: 0,
    enabled: false,
    schedule: null,
    hash: "9",
    modified: "2026-11-20T09:00:00Z",
  },
  text: `id = "library-news"
name = "Library news"
enabled = false

[step.crawl]
type = "crawl"
start_urls = ["http://archive.local/"]

[step.index]
type = "reindex"
`,
  problems: [],
};

function span(text: string, needle: string) {
  const start = text.indexOf(needle);
  const before = text.slice(0, start);
  return {
    start,
    end: start + needle.length,
    line: before.split("\n").length,
    column: start - before.lastIndexOf("\n"),
  };
}

export const definitions: DefinitionView[] = [
  {
    summary: {
      id: "index-folder",
      name: "Index a folder",
      description: "Reads Markdown, HTML, text, source and PDF files and makes them searchable.",
      origin: "shipped",
      file: "/usr/share/quaero/job-definitions/index-folder.toml",
      step_types: ["local_dir", "reindex"],
      inputs: [
        {
          key: "folder",
          label: "Folder",
          kind: "folder",
          default: "",
          required: true,
          help: "The folder to read, with everything below it.",
        },
        {
          key: "tag",
          label: "Tag",
          kind: "text",
          default: "folder",
          required: false,
          help: "Put on every document, to find them together.",
        },
      ],
      errors: 0,
      warnings: 0,
      enabled: true,
      schedule: null,
      hash: "1",
      modified: null,
    },
    text: indexFolder,
    problems: [],
  },
  {
    summary: {
      id: "crawl-site",
      name: "Crawl a site",
      description: "Follows the links of one site and keeps each page as clean, searchable text.",
      origin: "shipped",
      file: "/usr/share/quaero/job-definitions/crawl-site.toml",
      step_types: ["crawl", "reindex"],
      inputs: [
        {
          key: "start_url",
          label: "Start url",
          kind: "url",
          default: "",
          required: true,
          help: "The page to start from.",
        },
        {
          key: "max_pages",
          label: "Max pages",
          kind: "number",
          default: "500",
          required: false,
          help: "Stop after this many pages.",
        },
        {
          key: "follow_links",
          label: "Follow links",
          kind: "boolean",
          default: "true",
          required: false,
          help: "Also read the pages that the first one links to.",
        },
      ],
      errors: 0,
      warnings: 0,
      enabled: true,
      schedule: null,
      hash: "2",
      modified: null,
    },
    text: crawlSite,
    problems: [],
  },
  {
    summary: {
      id: "energy-news",
      name: "Energy news",
      description: "Two sources, once a day.",
      origin: "user",
      file: "/home/you/.local/share/quaero/job-definitions/energy-news.toml",
      step_types: ["crawl", "transform"],
      inputs: [],
      errors: 1,
      warnings: 1,
      enabled: true,
      schedule: null,
      hash: "3",
      modified: null,
    },
    text: broken,
    problems: [
      {
        code: "unknown_field",
        severity: "warning",
        message: "`max_page` is not a field of a crawl step.",
        ...span(broken, "max_page"),
        step: "fetch",
        fix: "Did you mean `max_pages`?",
      },
      {
        code: "unknown_dependency",
        severity: "error",
        message: "There is no step `fetched`.",
        ...span(broken, '"fetched"'),
        step: "clean",
        fix: "Did you mean `fetch`?",
      },
    ],
  },
  {
    summary: {
      id: "morning-papers",
      name: "Morning papers",
      description: "Reads three front pages before work and keeps what is new.",
      origin: "user",
      file: "/home/you/.local/share/quaero/job-definitions/morning-papers.toml",
      step_types: ["crawl", "reindex"],
      inputs: [
        {
          key: "start_url",
          label: "Start url",
          kind: "url",
          default: "https://example.org/news/",
          required: false,
          help: "The page to start from.",
        },
        {
          key: "max_pages",
          label: "Max pages",
          kind: "number",
          default: "40",
          required: false,
          help: "Stop after this many pages.",
        },
      ],
      errors: 0,
      warnings: 0,
      enabled: true,
      schedule: "0 7 * * *",
      hash: "4",
      modified: "2026-11-20T09:00:00Z",
    },
    text: morning,
    problems: [],
  },
  {
    summary: {
      id: "handbook-changes",
      name: "Handbook changes",
      description: "Looks every few hours whether the handbook has changed.",
      origin: "user",
      file: "/home/you/.local/share/quaero/job-definitions/handbook-changes.toml",
      step_types: ["crawl", "reindex"],
      inputs: [],
      errors: 0,
      warnings: 0,
      enabled: false,
      schedule: "0 */6 * * *",
      hash: "5",
      modified: "2026-11-18T09:00:00Z",
    },
    text: changes,
    problems: [],
  },
];
