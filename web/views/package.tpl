% rebase("layout.tpl", title="Upload a package")
<p class="crumb"><a href="/tasks/new">New task</a></p>
<h1>Upload a package</h1>
<div class="wide">
% include("refused.tpl", title="The package was not taken in.", files=False)
% include("parcel.tpl")
</div>
