// A process in the place of the quarantine's, which never loads anything.

setInterval(() => {}, 60_000);
