// Reads vectors as JSON on standard input, seals each again from docs/tokens.md alone, and writes the tokens.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const hmac = (key, message) => createHmac("sha256", key).update(message).digest();
const base64url = (bytes) => Buffer.from(bytes).toString("base64url");

function seal({ secret, purpose, tenant, json }) {
  const body = (tenant === null ? "" : `${tenant}.`) + base64url(json);
  return `${body}.${base64url(hmac(hmac(secret, purpose), body))}`;
}

const vectors = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(vectors.map(seal)));
