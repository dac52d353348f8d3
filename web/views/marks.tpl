% if field.required:
 required\\
% end
% if field.most and field.kind in ("line", "text", "password"):
 maxlength="{{field.most}}"\\
% end
% if described:
 aria-describedby="{{described}}"\\
% end
% if wrong:
 aria-invalid="true"\\
% end
