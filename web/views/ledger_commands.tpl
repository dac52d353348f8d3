<ul class="commands">
% for command in commands:
  <li><pre tabindex="0"><code>{{command}}</code></pre></li>
% end
</ul>
