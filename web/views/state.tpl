<span class="state {{state}}">{{state}}</span>
