// Apart from other modules, because the launcher of the images reads it before anything else is loaded.

/** With less, in MiB, neither finishes its start: an API takes 85 MB, a worker without models more (measured). */
export const mebibytesToStart = { api: 80, worker: 96 } as const;
