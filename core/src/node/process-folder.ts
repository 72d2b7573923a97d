import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Makes a folder for this process among the temporary files, `PREFIX-PID-RANDOM`, and removes those of its kind whose process
 * is gone: one that was killed could not clean up. The caller removes the folder when it ends.
 *
 * @param prefix letters, digits and hyphens; one for each kind of process
 * @param parent default: the system's folder for temporary files
 */
export async function makeProcessFolder(prefix: string, parent = tmpdir()): Promise<string> {
  const own = new RegExp(`^${prefix}-(\\d+)-[A-Za-z0-9]{6}$`);
  for (const name of await readdir(parent)) {
    const pid = own.exec(name)?.[1];
    // Another user's folder stays.
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(parent, name), { recursive: true }).catch(() => undefined);
  }
  return mkdtemp(join(parent, `${prefix}-${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Alive, but another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
