"use strict";
(function () {
	function value(cell) {
		var v = cell.dataset.v;
		return v === undefined ? cell.textContent : v;
	}
	function number(v) {
		return v === "" ? -1 : Number(v);
	}
	function sort(table, head, column) {
		var down = head.getAttribute("aria-sort") === "ascending";
		var numeric = head.classList.contains("n");
		var body = table.tBodies[0];
		var words = new Intl.Collator(undefined, { numeric: true });
		var rows = Array.prototype.map.call(body.rows, function (row, i) {
			var v = value(row.cells[column]);
			return { row: row, key: numeric ? number(v) : v, at: i };
		});
		rows.sort(function (a, b) {
			var d = numeric ? a.key - b.key : words.compare(a.key, b.key);
			if (down) {
				d = -d;
			}
			return d || a.at - b.at;
		});
		Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) {
			cell.removeAttribute("aria-sort");
		});
		head.setAttribute("aria-sort", down ? "descending" : "ascending");
		var all = document.createDocumentFragment();
		rows.forEach(function (r) {
			all.appendChild(r.row);
		});
		body.appendChild(all);
	}
	function filter(table, tools) {
		var text = tools.querySelector("input").value.toLowerCase();
		var choice = tools.querySelector("select").value;
		var shown = 0;
		Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
			if (row.words === undefined) {
				row.words = row.textContent.toLowerCase();
			}
			var hide = choice !== "" && row.dataset.k !== choice && !(choice === "!" && row.dataset.k !== "done") ||
				text !== "" && row.words.indexOf(text) === -1;
			row.hidden = hide;
			shown += hide ? 0 : 1;
		});
		tools.querySelector("output").textContent = shown + " of " + table.tBodies[0].rows.length;
	}
	Array.prototype.forEach.call(document.querySelectorAll("table.sortable"), function (table) {
		Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
			var button = document.createElement("button");
			button.type = "button";
			while (head.firstChild) {
				button.appendChild(head.firstChild);
			}
			head.appendChild(button);
			button.addEventListener("click", function () {
				sort(table, head, column);
			});
		});
		var tools = document.getElementById(table.id + "-tools");
		if (tools === null) {
			return;
		}
		tools.hidden = false;
		var select = tools.querySelector("select"), seen = {};
		Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
			var k = row.dataset.k;
			if (!Object.prototype.hasOwnProperty.call(seen, k)) {
				seen[k] = true;
				select.add(new Option(k, k));
			}
		});
		tools.addEventListener("input", function () {
			filter(table, tools);
		});
		filter(table, tools);
	});
	document.addEventListener("click", function (event) {
		var a = event.target.closest("a[data-filter]");
		var tools = document.getElementById("problems-tools");
		if (a !== null && tools !== null) {
			tools.querySelector("input").value = a.dataset.filter;
			filter(document.getElementById("problems"), tools);
		}
	});
})();
