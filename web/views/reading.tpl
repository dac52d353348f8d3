<section class="card" aria-labelledby="reading">
  <h2 id="reading">{{values.get("title", "").strip() or "No title yet"}}</h2>
  <div class="prose">{{!markdown(values.get("description", "").replace("\r\n", "\n"))}}</div>
% if criteria:
  <h3>Acceptance</h3>
  <ul class="checks">
% for line in criteria:
    <li>{{!inline(line)}}</li>
% end
  </ul>
% end
% if values.get("readme", "").strip():
  <h3>README</h3>
  <div class="prose">{{!markdown(values["readme"].replace("\r\n", "\n"))}}</div>
% end
  <p class="hint again">A preview does not keep files that were chosen; choose them again before you publish.</p>
</section>
