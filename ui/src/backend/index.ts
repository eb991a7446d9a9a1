// The backend of this build: see `#platform` in package.json.

import { backend as platform } from "#platform";
import type { Backend } from "./backend";

export const backend: Backend = platform;
