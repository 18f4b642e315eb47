import './start-rollup-link.cases.js';
import './link-rollup-account.cases.js';
import './link-ownership.cases.js';
import './link-secrets.cases.js';
import './incremental-consent.cases.js';
import './renew-access-token.cases.js';
import './unlink-rollup-account.cases.js';
import './standard-provider.cases.js';
