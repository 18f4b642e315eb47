import './access.cases.js';
import './document-limits.cases.js';
import './errors.cases.js';
import './trusted-documents.cases.js';
import './transport.cases.js';
import './http-audits.cases.js';
import './scopes.cases.js';
import './schema.cases.js';
