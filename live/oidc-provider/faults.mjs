// Faults that a path shows instead of its answer. A fault is an object whose `kind` names one of
// the functions below; its other members are their settings.

const MEGABYTE = 1024 * 1024;

const KINDS = {
  html500: (fault, request, response) => answer(response, 500, 'text/html', '<html>boom</html>'),

  html200: (fault, request, response) => answer(response, 200, 'text/html', '<html>login</html>'),

  json: ({ body }, request, response) => answer(response, 200, 'application/json', body),

  too_many_requests: ({ retry_after: seconds }, request, response) => {
    response.writeHead(429, { 'retry-after': String(seconds) }).end();
  },

  redirect: ({ location }, request, response) => {
    response.writeHead(302, { location }).end();
  },

  reset: (fault, { socket }) => {
    // Node can reset only plain connections; a TLS one ends without its closing alert.
    if (socket.encrypted) socket.destroy();
    else socket.resetAndDestroy();
  },

  hang: () => {},

  slow: ({ milliseconds }, request, response, proceed) => {
    setTimeout(proceed, milliseconds);
  },

  huge: ({ megabytes }, request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"keys":[');
    writeKeys(response, megabytes * MEGABYTE);
  },
};

/** At most one fault per path. */
export class Faults {
  #paths = new Map();

  set(path, fault) {
    if (!Object.hasOwn(KINDS, fault.kind)) throw new Error(`no fault is called ${fault.kind}`);
    this.#paths.set(path, fault);
  }

  clear() {
    this.#paths.clear();
  }

  /** Shows the path's fault, or lets the request proceed. */
  apply(path, request, response, proceed) {
    const fault = this.#paths.get(path);
    if (!fault) return proceed();
    return KINDS[fault.kind](fault, request, response, proceed);
  }
}

function answer(response, status, type, body) {
  response.writeHead(status, { 'content-type': type }).end(body);
}

/** Ends a JWK set with about `length` bytes of keys, no faster than the client reads. */
function writeKeys(response, length) {
  const chunk = '{"kty":"oct"},'.repeat(5000);
  let rest = length;
  const write = () => {
    while (rest > 0 && !response.destroyed) {
      rest -= chunk.length;
      if (!response.write(chunk)) {
        response.once('drain', write);
        return;
      }
    }
    response.end('{"kty":"oct"}]}');
  };
  write();
}
