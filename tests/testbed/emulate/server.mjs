// Google's and Microsoft's authorization servers, each on a port: node server.mjs '{"google": PORT, …, "seed": {…}}'
import { createEmulator } from "emulate";

const { seed, ...ports } = JSON.parse(process.argv[2]);
for (const [service, port] of Object.entries(ports)) {
  await createEmulator({ service, port, baseUrl: `http://127.0.0.1:${port}`, seed: { [service]: seed } });
}
