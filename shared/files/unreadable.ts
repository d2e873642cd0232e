/** A pipe, a device or a socket stands in the place of a file. */
export class NoFile extends Error {}

/** Says that something cannot be read, with the error of the system, and what to do if that is a lack of rights. */
export function describeUnreadable(thrown: unknown): string {
  if (thrown instanceof NoFile) return 'is a pipe, a device or a socket, and no file';
  const { code } = thrown as NodeJS.ErrnoException;
  const remedy =
    code === 'EACCES' ? '. Let the user of this process read it (user 1000 in the images)' : '';
  return `cannot be read (${code})${remedy}`;
}
