import './galaxy-errors.cases.js';
import './galaxy-budget.cases.js';
import './consented-data.cases.js';
import './consented-scopes.cases.js';
import './me.cases.js';
import './shared-cache.cases.js';
import '../galaxy/galaxy-budget.cases.js';
import '../galaxy/galaxy-clocks.cases.js';
