// TLS to Redis: the certificate by which it knows us, if it asks for one, and what failed handshakes mean.

import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { coerceError, ScorelineError } from '../errors.js';

/** The two files of REDIS_CERT_FILE and REDIS_KEY_FILE, in PEM. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Options of `connect` in node:tls. Each look at them reads the files again. */
export interface ClientCertificate {
  readonly secureContext: SecureContext;
}

/**
 * Reads our certificate. A renewed one counts from the next connection on. While its files do not fit together, as
 * halfway through a renewal, the former one does.
 * @throws ScorelineError `configuration_invalid` if there is none to begin with
 */
export function readClientCertificate(files: CertificateFiles): ClientCertificate {
  let current: SecureContext;
  try {
    current = readContext(files);
  } catch (thrown) {
    const { message } = coerceError(thrown);
    throw new ScorelineError(
      'configuration_invalid',
      `REDIS_CERT_FILE, REDIS_KEY_FILE: expected a certificate and its key in PEM; got ${files.certFile} and ${files.keyFile}, which cannot be used (${message})`,
    );
  }
  return {
    get secureContext() {
      try {
        current = readContext(files);
      } catch {
        // ioredis would give up for good.
      }
      return current;
    },
  };
}

function readContext({ certFile, keyFile }: CertificateFiles): SecureContext {
  return createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
}

/** Returns what was expected of Redis, what came, and what to do; undefined if the handshake is not what failed. */
export function explainHandshake(
  error: Error,
  host: string,
): readonly [expected: string, got: string, advice: string] | undefined {
  const { code = '', reason = error.message }: NodeJS.ErrnoException & { reason?: string } = error;
  if (ofPeer.test(code)) {
    return [
      'a Redis that takes this client by its certificate',
      `the answer "${reason}"`,
      'Set REDIS_CERT_FILE and REDIS_KEY_FILE to a certificate that its authority has signed and that is in force.',
    ];
  }
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/.test(code)) {
    return [
      `a certificate for ${host} that is in force`,
      `one that is not (${reason})`,
      'Renew it, or correct the clock of this machine.',
    ];
  }
  if (ofVerification.test(code)) {
    return [
      `a certificate for ${host} that this machine trusts`,
      `one that it does not (${reason})`,
      'Put the file of its authority into NODE_EXTRA_CA_CERTS, and use the name in the certificate.',
    ];
  }
  return undefined;
}

/** The alerts with which a server refuses the certificate of a client, or misses one. */
const ofPeer =
  /^ERR_SSL_.*ALERT_(HANDSHAKE_FAILURE|UNKNOWN_CA|DECRYPT_ERROR|ACCESS_DENIED|NO_CERTIFICATE|BAD_CERTIFICATE|.*CERTIFICATE_(REQUIRED|EXPIRED|REVOKED|UNKNOWN)|UNSUPPORTED_CERTIFICATE)$/;

/** What Node finds wrong with the certificate of a server ("X509 certificate error codes" in its documentation). */
const ofVerification =
  /^(?!ERR_SSL_).*(CERT|CRL|SIGNATURE|ISSUER|ALTNAME|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED|KEY_TOO_SMALL|MD_TOO_WEAK)/;
