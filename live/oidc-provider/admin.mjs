// The interface by which a test changes the provider. It answers in JSON.

import { json } from 'node:stream/consumers';

import { revokeGrants } from './store.mjs';

/** `state` is that of server.mjs; `rebuild` makes changed keys take effect. */
const ROUTES = {
  'POST /rotate': changeKeys((keys) => keys.rotate()),
  'POST /replace': changeKeys((keys) => keys.replace()),
  'POST /publish-next': changeKeys((keys) => keys.publishNext()),
  'POST /promote-next': changeKeys((keys) => keys.promoteNext()),
  'POST /drop-old': changeKeys((keys) => keys.dropOld()),

  'PUT /faults': (state, rebuild, { path, fault }) => state.faults.set(path, fault),
  'DELETE /faults': (state) => state.faults.clear(),

  'DELETE /grants': () => revokeGrants(),

  'GET /hits': (state) => Object.fromEntries(state.hits),
  'DELETE /hits': (state) => state.hits.clear(),

  'PUT /token-lifetime': (state, rebuild, { seconds }) => {
    state.tokenLifetime = seconds;
  },
};

export async function handleAdmin(state, rebuild, request, response) {
  const route = ROUTES[`${request.method} ${request.url}`];
  let status = route ? 200 : 404;
  let answer;
  try {
    const body = request.method === 'PUT' ? await json(request) : undefined;
    answer = await route?.(state, rebuild, body);
  } catch (error) {
    status = 400;
    answer = { error: error.message };
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer ?? {}));
}

/** Changes the keys and answers with the ids of those that are published then. */
function changeKeys(change) {
  return async (state, rebuild) => {
    await change(state.keys);
    rebuild();
    return { kids: state.keys.kids };
  };
}
