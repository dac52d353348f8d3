 · added {{!when(key["added_at"], now, short=True)}}\\
% if key["compromised_at"]:
, <strong class="state failed">revoked</strong> {{!when(key["retired_at"], now, short=True)}}, not to be trusted from {{!when(key["compromised_at"], now)}}\\
% elif key["retired_at"]:
, retired {{!when(key["retired_at"], now, short=True)}}\\
% end
