// What to do about failed jobs. See `text.ts`.

const AGAIN = "then run the job again.";
const LATER = "Run the job again later.";

/** What to do about a failed job, by the code of its error; nothing where the message says it all. */
export const remedies: Record<string, string> = {
  not_found: `Check that it still exists, ${AGAIN}`,
  permission_denied: "Once you may read it, run the job again.",
  unreadable: `Check the disk, ${AGAIN}`,
  folder_unreadable: `Check that its disk is connected, ${AGAIN}`,
  damaged: `If another program can open it, save it anew without a password, ${AGAIN}`,
  pdf_reader_unavailable: "Run the job again. If it comes back, reinstall Quaero.",
  host_not_found: `Check the spelling of the address and your connection, ${AGAIN}`,
  cannot_connect: `Check the address and your connection, ${AGAIN}`,
  tls: "Check the clock of this computer. If it is right, the fault is the site's.",
  timeout: `${LATER} For slow pages, raise page_timeout in the definition.`,
  interrupted: `Check your connection, ${AGAIN}`,
  too_large: "Raise max_page_bytes in the definition if you need this page.",
  too_many_redirects: "Open the address in a browser, and start from where it leads.",
  redirect_loop: "Open the address in a browser, and start from where it leads.",
  robots_unavailable: LATER,
  network_sign_in: `Open any page in your browser to sign in, ${AGAIN}`,
  leads_elsewhere: "Open the address in a browser, and start from where it leads.",
  signed_out: `Sign in anew in the settings, under Sign-ins, ${AGAIN}`,
  forbidden: "Start from pages that can be read without signing in.",
  too_many_requests: `${LATER} A longer request_delay in the definition helps.`,
  server_busy: LATER,
  server_error: LATER,
  unexpected_status: "Open the address in a browser to see what is there.",
  invalid_config: `Correct the definition, ${AGAIN}`,
  unknown_step_type: "Use the version of Quaero that started this run, or a newer one.",
  unknown_task_type: "Use the version of Quaero that started this run, or a newer one.",
  storage: `Check that the disk has room, ${AGAIN}`,
  scan_failed: "Run the job again.",
  poison: "Leave it out of the job, and report it.",
  panic: "Run the job again. If it comes back, report it.",
  internal: "Run the job again. If it comes back, report it.",
};
