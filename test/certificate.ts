// Certificates for tests with TLS, made by openssl where it is there.

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';

export function hasOpenSsl(): boolean {
  try {
    execFileSync('openssl', ['version']);
    return true;
  } catch {
    return false;
  }
}

/** The paths of two files in PEM. */
export interface CertificateFiles {
  readonly key: string;
  readonly certificate: string;
}

/** Makes a certificate for a host, which is its own authority. Returns the two files. */
export function makeCertificate(directory: string, name = 'localhost'): CertificateFiles {
  const key = path.join(directory, 'key.pem');
  const certificate = path.join(directory, 'certificate.pem');
  const names = ['-subj', `/CN=${name}`, '-keyout', key, '-out', certificate];
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names);
  return { key, certificate };
}

/** Makes an authority of our own. Returns the file of its certificate, and what signs others for `localhost`. */
export function makeAuthority(directory: string, name = 'An authority') {
  const { key, certificate } = makeCertificate(makeFolderIn(directory), name);
  const files = ['-CA', certificate, '-CAkey', key, '-CAcreateserial'];

  const sign = (): CertificateFiles => {
    const folder = makeFolderIn(directory);
    const [key, certificate, request] = ['key.pem', 'certificate.pem', 'request.pem'].map((name) =>
      path.join(folder, name),
    ) as [string, string, string];
    const names = ['-subj', '/CN=localhost', '-keyout', key, '-out', request];
    openssl('req', '-newkey', 'rsa:2048', '-nodes', ...names);
    openssl('x509', '-req', '-in', request, ...files, '-days', '2', '-out', certificate);
    return { key, certificate };
  };
  return { certificate, sign };
}

function makeFolderIn(directory: string): string {
  return mkdtempSync(path.join(directory, 'certificate-'));
}

function openssl(...parameters: string[]): void {
  execFileSync('openssl', parameters, { stdio: 'ignore' });
}
