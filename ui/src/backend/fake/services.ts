// Outside services in memory: which are set up, and where their keys are. As the program does, it never
// hands a key out again.

import type {
  ImportedProfile,
  ImportProfile,
  KeepKey,
  KeyPlace,
  ProfileView,
  ProvidersView,
  ProviderTest,
  ProviderView,
  Settings,
} from "../types";
import { refuse } from "./errors";

type Known = Pick<ProviderView, "id" | "name" | "purpose" | "default_base_url" | "needs_key" | "key_page">;

const KNOWN: Known[] = [
  {
    id: "searxng",
    name: "SearXNG",
    purpose: "Web search by a server of your own.",
    default_base_url: null,
    needs_key: false,
    key_page: null,
  },
  {
    id: "brave",
    name: "Brave Search",
    purpose: "Web search.",
    default_base_url: "https://api.search.brave.com/",
    needs_key: true,
    key_page: "https://api-dashboard.search.brave.com/",
  },
  {
    id: "tavily",
    name: "Tavily",
    purpose: "Web search.",
    default_base_url: "https://api.tavily.com/",
    needs_key: true,
    key_page: "https://app.tavily.com/",
  },
  {
    id: "smtp",
    name: "E-mail",
    purpose: "Sends reports through your mail server.",
    default_base_url: null,
    needs_key: false,
    key_page: null,
  },
];

export class FakeServices {
  readonly keys = new Map<string, { key: string; place: KeyPlace }>();
  readonly profiles = new Map<string, ImportProfile>();
  /** The window of a sign-in, and the cookies that its site has set. */
  signIn: { name: string; address: string; cookies: string } | null = null;
  keychain: "ready" | "locked" | "missing" = "ready";
  passphrase: string | null = null;
  unlocked = false;
  /** What a service answers when it is tested. */
  answer: ProviderTest = { ok: true, message: "It answers and can be used.", quota: null };

  view(settings: Settings): ProvidersView {
    const providers = KNOWN.map((known): ProviderView => {
      const base_url = settings.providers[known.id]?.base_url ?? null;
      const place = this.keys.get(known.id)?.place ?? null;
      const found =
        known.id === "smtp" ? Boolean(settings.mail.host) : Boolean(base_url ?? known.default_base_url);
      return {
        ...known,
        base_url,
        key: place,
        key_problem: null,
        key_variable: `QUAERO_${known.id.toUpperCase()}_API_KEY`,
        ready: found && (!known.needs_key || place !== null),
      };
    });
    const secrets = {
      keychain: this.keychain,
      file_exists: this.passphrase !== null,
      file_unlocked: this.unlocked,
    };
    return { providers, secrets };
  }

  keep({ provider, key, place }: KeepKey): void {
    if (place === "file" && !this.unlocked)
      refuse("invalid", "The file with your keys is locked. Unlock it with its passphrase.");
    this.keys.set(provider, { key: key.trim(), place });
  }

  profileViews(): ProfileView[] {
    return [...this.profiles.values()].map(profileView);
  }

  importProfile(request: ImportProfile): ImportedProfile {
    if (!request.site && !request.cookies) refuse("invalid", "Name the site that the profile is for.");
    this.profiles.set(request.name, request);
    return { profile: profileView(request), left_out: 0 };
  }

  openSignIn(name: string, address: string): void {
    if (!address) refuse("invalid", "`` cannot be opened: empty host.");
    this.signIn = { name, address, cookies: "" };
  }

  keepSignIn(place: KeyPlace): ImportedProfile {
    if (!this.signIn) refuse("conflict", "No window of a sign-in is open.");
    const { name, address, cookies } = this.signIn;
    if (!cookies) refuse("invalid", `There are no cookies for ${address} in what was given: there are none.`);
    this.signIn = null;
    return this.importProfile({ name, site: address, cookies, headers: "", place });
  }

  unlock(passphrase: string): void {
    if (this.passphrase === null && passphrase.length < 8)
      refuse("invalid", "A passphrase has at least 8 characters.");
    if (this.passphrase !== null && this.passphrase !== passphrase)
      refuse("invalid", "The passphrase does not open the file with your keys.");
    this.passphrase = passphrase;
    this.unlocked = true;
  }
}

function profileView({ name, site, cookies, headers }: ImportProfile): ProfileView {
  const lines = (text: string) => text.split("\n").filter(Boolean);
  return {
    name,
    site: site ?? "example.org",
    cookies: lines(cookies).length,
    headers: lines(headers).map((line) => line.split(":")[0] ?? ""),
    imported: "2026-11-29T00:00:00Z",
    expires: null,
  };
}
