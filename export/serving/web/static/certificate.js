// The page of the certificate, which runs no model.
import "./offline.js";
import { byId, data, say } from "./ui.js";

byId("heading").textContent = data.heading;
byId("pages").hidden = true;
say("");
document.documentElement.dataset.state = "answered";
