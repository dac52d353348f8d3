% someone = visit.someone if visit else None
<!doctype html>
<html lang="en"{{!f' data-theme="{theme}"' if theme else ''}}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{{theme or "light dark"}}">
<title>{{title}} · taskrepo</title>
<link rel="stylesheet" href="{{asset("style.css")}}">
<link rel="icon" href="{{asset("icon.svg")}}" type="image/svg+xml">
<script src="{{asset("page.js")}}" defer></script>
% for script in scripts:
<script src="{{asset(script)}}" defer></script>
% end
</head>
% if someone:
<body data-commit="{{visit.seen.newest}}" data-actor="{{someone.id}}"{{!f' data-task="{live_task}"' if live_task else ''}}>
% else:
<body>
% end
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
  <a class="brand" href="/"><span class="mark" aria-hidden="true"></span>taskrepo</a>
% if someone:
  <nav class="places" id="places" aria-label="Main" data-live>
% waiting = visit.waiting
% places = [("work", "/work", "My work"), ("tasks", "/tasks", "Tasks"), ("dashboard", "/dashboard", "Dashboard"), ("actors", "/actors", "Actors"), ("ledger", "/ledger", "Ledger")]
% for name, href, label in places + ([("admin", "/admin", "Admin")] if someone.is_admin else []) + [("help", "/help", "Help")]:
    <a href="{{href}}"{{!' aria-current="page"' if get("section", "") == name else ''}}>{{label}}\\
% if name == "work" and waiting:
 <span class="count due">{{waiting}}<span class="unseen"> waiting for you</span></span>\\
% end
</a>
% end
  </nav>
  <form class="find" method="get" action="/tasks" role="search" aria-label="All tasks">
    <label class="unseen" for="find">Find tasks</label>
    <input id="find" name="q" type="search" maxlength="500" placeholder="Find tasks" value="">
  </form>
  <div class="who">
    <a class="button primary" href="/tasks/new">New task</a>
    <a href="/me"{{!' aria-current="page"' if get("section", "") == "me" else ''}}>{{someone.id}}</a>
    <form method="post" action="/logout">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">Sign out</button>
    </form>
  </div>
% else:
  <nav class="places" aria-label="Main"><a href="/help">Help</a></nav>
  <div class="who"><a href="/login">Sign in</a></div>
% end
</header>
<main id="main" tabindex="-1">
% if flash:
<p class="note good" role="status">{{flash}}</p>
% end
{{!base}}
</main>
<footer class="bottom"><p>Every step is a signed git commit. <a href="/help/git">How to check it</a></p>
<p class="pulse" id="pulse" role="status"></p></footer>
<p class="unseen" id="said" aria-live="polite"></p>
</body>
</html>
