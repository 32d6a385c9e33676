// The provider's signing keys, and their rotation.

import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

const generate = promisify(generateKeyPair);

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

/**
 * Generations of keys, one key per algorithm in each. The first generation signs; all of them are
 * published. Key ids are `g1-RS256` and the like.
 */
export class KeyRing {
  #count = 0;

  #generations = [];

  static async generate() {
    const ring = new KeyRing();
    ring.#generations.push(await ring.#next());
    return ring;
  }

  /** A private JWK set. */
  get jwks() {
    return { keys: this.#generations.flat() };
  }

  get kids() {
    return this.jwks.keys.map((key) => key.kid);
  }

  /** Signs with new keys, and still publishes the old ones. */
  async rotate() {
    this.#generations.unshift(await this.#next());
  }

  /** Signs with new keys, and publishes no others. */
  async replace() {
    this.#generations = [await this.#next()];
  }

  /** Publishes new keys, and still signs with the old ones. */
  async publishNext() {
    this.#generations.push(await this.#next());
  }

  /** Signs with the keys that were published last; the old ones stay published. */
  promoteNext() {
    this.#generations.unshift(this.#generations.pop());
  }

  /** Publishes only the keys that sign. */
  dropOld() {
    this.#generations.length = 1;
  }

  async #next() {
    this.#count += 1;
    const name = `g${this.#count}`;
    const keys = Object.entries(KINDS).map(async ([alg, [type, options]]) => {
      const { privateKey } = await generate(type, options);
      return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${name}-${alg}` };
    });
    return Promise.all(keys);
  }
}
