import './stored-tokens.cases.js';
import './key-rotation.cases.js';
import './refresh-decision.cases.js';
import './circuit-breaker.cases.js';
import './keyring.cases.js';
import './token-cipher.cases.js';
import './refresh-steps.cases.js';
import './token-refresher.cases.js';
