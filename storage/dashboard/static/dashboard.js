// What every page of the dashboard does in the browser. Each module works by itself, on what it finds in the page.
import { zone } from "./zone.js";
import { loadAll } from "./panels.js";
import "./charts.js";
import "./copy.js";
import "./filters.js";
import "./keys.js";
import "./live.js";
import "./session.js";
import "./theme.js";

if (zone()) loadAll();
