import { FakeBackend } from "../backend/fake/engine";

/** The backend of the test that runs now. */
export const current = { backend: new FakeBackend() };
