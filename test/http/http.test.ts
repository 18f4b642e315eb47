import './requests.cases.js';
import './health.cases.js';
import './metrics.cases.js';
import '../log.cases.js';
import '../log-events.cases.js';
import './draining.cases.js';
import './operator-settings.cases.js';
import '../log-outcomes.cases.js';
