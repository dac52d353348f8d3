<details class="review-keys" id="keyboard" hidden>
  <summary>Keyboard</summary>
  <dl class="facts">
    <dt><kbd>n</kbd> <kbd>j</kbd></dt><dd>next submission</dd>
    <dt><kbd>p</kbd> <kbd>k</kbd></dt><dd>previous submission</dd>
    <dt><kbd>a</kbd></dt><dd>approve: goes to the button, <kbd>Enter</kbd> presses it</dd>
    <dt><kbd>r</kbd></dt><dd>reject: goes to the reason</dd>
    <dt><kbd>c</kbd></dt><dd>comment</dd>
    <dt><kbd>o</kbd></dt><dd>open the first file</dd>
    <dt><kbd>?</kbd></dt><dd>this list</dd>
    <dt><kbd>Esc</kbd></dt><dd>leave a field</dd>
  </dl>
  <p class="hint">No key does anything while you type in a field.</p>
  <label for="keys-on"><input id="keys-on" type="checkbox" autocomplete="off" checked> Use these keys in this browser</label>
</details>
