// A certificate for tests with TLS, made by openssl where it is there.

import { execFileSync } from 'node:child_process';
import path from 'node:path';

export function hasOpenSsl(): boolean {
  try {
    execFileSync('openssl', ['version']);
    return true;
  } catch {
    return false;
  }
}

/** Makes a certificate for `localhost`, which is its own authority. Returns the two files. */
export function makeCertificate(directory: string): { key: string; certificate: string } {
  const key = path.join(directory, 'key.pem');
  const certificate = path.join(directory, 'certificate.pem');
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-keyout', key, '-out', certificate];
  execFileSync('openssl', [...request, ...names], { stdio: 'ignore' });
  return { key, certificate };
}
