<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{title}} · taskrepo</title>
<link rel="stylesheet" href="{{asset("style.css")}}">
<link rel="icon" href="{{asset("icon.svg")}}" type="image/svg+xml">
<script src="{{asset("page.js")}}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
  <a class="brand" href="/tasks">taskrepo</a>
% if visit and visit.someone:
  <nav aria-label="Main">
    <a href="/tasks">Tasks</a>
    <a href="/tasks/new">New task</a>
    <a href="/actors">Actors</a>
    <a href="/help">Help</a>
  </nav>
  <div class="who">
    <a href="/me">{{visit.someone.id}}</a>
    <form method="post" action="/logout">
      <input type="hidden" name="csrf" value="{{visit.csrf}}">
      <button class="quiet">Sign out</button>
    </form>
  </div>
% else:
  <nav aria-label="Main"><a href="/help">Help</a></nav>
  <div class="who"><a href="/login">Sign in</a></div>
% end
</header>
<main id="main" tabindex="-1">
% if flash:
<p class="note good" role="status">{{flash}}</p>
% end
{{!base}}
</main>
<footer class="bottom"><p>Every step is a signed git commit. <a href="/help#check">How to check it</a></p></footer>
</body>
</html>
