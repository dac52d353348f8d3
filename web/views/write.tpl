% include("fields.tpl", fields=fields_of.ESSENTIALS)
  <p class="buttons"><button name="as" value="preview" formnovalidate data-preview="preview">Preview</button> <span class="hint">Shows the description, criteria and README as others will read them. Saves nothing.</span></p>
  <div id="preview" class="preview" tabindex="-1">
% if previewed:
% include("reading.tpl")
% end
  </div>
  <h2>Acceptance</h2>
% include("fields.tpl", fields=fields_of.ACCEPTANCE)
  <details class="group"{{" open" if any(f.name in errors or values.get(f.name) for f in fields_of.SCHEMA) else ""}}>
    <summary>Schema of the result</summary>
% include("fields.tpl", fields=fields_of.SCHEMA)
  </details>
  <h2>Files</h2>
  <p class="hint dropping" hidden>Drop files and folders on a box. What you drop elsewhere on the form becomes input; a package (.zip or .tar.gz) that you drop beside the boxes is opened for you to look into.</p>
  <div class="grid zones">
    <div class="zone" data-zone>
% include("fields.tpl", fields=fields_of.INPUT)
    </div>
    <div class="zone" data-zone>
% include("fields.tpl", fields=fields_of.CONTEXT)
    </div>
  </div>
% include("fields.tpl", fields=[fields_of.README])
