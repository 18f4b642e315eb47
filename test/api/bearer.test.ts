import './bearer.cases.js';
import './bearer-signatures.cases.js';
import './bearer-requests.cases.js';
import './bearer-encodings.cases.js';
import './bearer-isolation.cases.js';
import './bearer-clocks.cases.js';
