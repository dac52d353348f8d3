<nav class="topics" aria-label="Help">
% for name, label in topics.items():
  <a href="/help{{"/" + name if name else ""}}"{{!' aria-current="page"' if name == topic else ''}}>{{label}}</a>
% end
</nav>
