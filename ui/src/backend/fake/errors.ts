// The refusals of the fake backend, in the shape of the real ones.

import type { ApiError, ErrorCode } from "../types";

export function error(code: ErrorCode, message: string, hint: string | null = null): ApiError {
  return { code, message, hint, where: null };
}

export function notFound(message: string): never {
  throw error("not_found", message);
}

export function refuse(code: ErrorCode, message: string): never {
  throw error(code, message);
}
