<nav class="tabs" aria-label="Administration">
% for name, href, label in (("overview", "/admin", "Overview"), ("policy", "/admin/policy", "Policy"), ("keys", "/admin/keys", "Keys and sessions"), ("maintenance", "/admin/maintenance", "Maintenance")):
  <a href="{{href}}"{{!' aria-current="page"' if name == here else ''}}>{{label}}</a>
% end
</nav>
