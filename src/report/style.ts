/** How the report looks: on a wide screen, a phone and paper, light and dark. */
import { paletteCss } from './palette.ts';

export const PAGE_CSS = `${paletteCss(':root')}
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;-webkit-text-size-adjust:100%}
body{margin:0}
main{max-width:960px;margin:0 auto;padding:24px 20px 56px}
h1{font-size:1.75rem;line-height:1.2;margin:.2em 0 .4em;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.2em 0 .5em;padding-top:.7em;border-top:1px solid var(--grid)}
h3{font-size:1rem;margin:0}
h4{font-size:.85rem;font-weight:600;margin:0 0 .3em;color:var(--muted)}
p{margin:.4em 0}
.kicker{color:var(--muted);font-size:.85rem;letter-spacing:.04em;text-transform:uppercase;margin:0}
.lead{font-size:1.08rem;max-width:46em}
.aside{color:var(--muted);font-size:.85em;font-weight:400}
.warning,.good{border-left:4px solid var(--wrong);background:var(--card);padding:.6em .9em;margin:.8em 0}
.good{border-color:var(--right)}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:1.2em 0 0}
.tiles>div{background:var(--card);border-radius:8px;padding:12px 14px}
.tiles dt{font-size:.82rem;color:var(--muted)}
.tiles dd{margin:0;font-size:1.5rem;font-weight:650;font-variant-numeric:tabular-nums}
.tiles dd.aside{font-size:.82rem;font-weight:400}
figure{margin:0 0 1.2em;min-width:0}
figcaption p{color:var(--muted);font-size:.9rem;margin:.1em 0 .5em}
figure svg{display:block;width:100%;height:auto}
.means{font-size:.92rem;max-width:52em}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:24px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:24px}
.grid>figure{max-width:400px}
/* Drawings beside each other begin at one height, however many lines their titles have. */
.pair>figure,.grid>figure{display:grid;grid-template:subgrid/minmax(0,1fr);grid-row:span 3;row-gap:0}
.grid.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,350px),1fr))}
.narrow{display:none}
/* A shadow at a side says that there is more of it: what covers the shadow scrolls along with the content. */
.scroll{overflow-x:auto;margin:.6em 0 1.2em;background:linear-gradient(90deg,var(--paper) 40%,transparent) 0/40px 100% no-repeat local,linear-gradient(270deg,var(--paper) 40%,transparent) 100%/40px 100% no-repeat local,linear-gradient(90deg,var(--shade),transparent) 0/16px 100% no-repeat,linear-gradient(270deg,var(--shade),transparent) 100%/16px 100% no-repeat}
figure .scroll svg{width:auto;max-width:100%;margin:0 auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);font-size:.85rem;padding-bottom:.3em}
th,td{text-align:right;padding:.45em .6em;border-bottom:1px solid var(--grid);vertical-align:top;white-space:nowrap}
thead th{font-weight:600;color:var(--muted)}
th:first-child,.words{text-align:left}
td.words{white-space:normal;min-width:12em}
tr.chosen{background:var(--card)}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
code{font:.86em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{background:var(--card);border-radius:8px;padding:12px 14px;overflow-x:auto;margin:.8em 0 1.2em}
pre code{overflow-wrap:normal}
.code{margin:.6em 0 1em}
.code p{display:flex;justify-content:space-between;align-items:center;gap:12px;min-height:1.9em;color:var(--muted);font-size:.85rem;margin:0 0 .2em}
.code pre{margin:0}
button{font:inherit;color:var(--accent);background:var(--paper);border:1px solid var(--muted);border-radius:6px;padding:.1em .8em;cursor:pointer}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.contents{margin:1.4em 0 0}
.contents ul{list-style:none;display:flex;flex-wrap:wrap;gap:.3em 1.4em;margin:0;padding:0;font-size:.92rem}
details{margin:.4em 0}
details[open]>summary{margin-bottom:.6em}
.tip:hover{stroke:var(--ink)}
.leaving{margin:0 0 1.2em;padding:12px 14px;background:var(--card);border-radius:8px}
.kinds{display:flex;flex-wrap:wrap;gap:12px 28px;margin-top:.6em}
.examples{display:flex;flex-wrap:wrap;gap:8px}
.example{width:70px;margin:0}
.example img{display:block;width:64px;height:64px;object-fit:contain;image-rendering:pixelated;border-radius:4px;background:var(--paper)}
.name{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}
.example figcaption{font-size:.7rem;line-height:1.25;margin-top:3px;overflow-wrap:anywhere}
@media (max-width:640px){
main{padding:16px 14px 40px}
h1{font-size:1.4rem}
.tiles{grid-template-columns:repeat(2,1fr)}
.pair{grid-template-columns:minmax(0,1fr)}
td.words{min-width:19em}
caption span{position:sticky;left:0;display:inline-block;max-width:calc(100vw - 28px)}
.scroll th:first-child{position:sticky;left:0;background:var(--paper)}
.scroll tr.chosen th:first-child{background:var(--card)}
.wide{display:none}
.narrow{display:block}
}
/* Beside the page where there is room. */
@media screen and (min-width:1240px){
main{max-width:1200px;display:grid;grid-template-columns:190px minmax(0,960px);column-gap:40px}
main>*{grid-column:2}
main>.contents{grid-column:1;grid-row:1/span 12;align-self:start;position:sticky;top:24px;margin:0}
.contents ul{flex-direction:column;gap:.55em}
}
@media print{
html{font-size:12px}
main{max-width:none;padding:0}
figure,tr,.leaving,.tiles{break-inside:avoid}
h2,h3,figcaption{break-after:avoid}
.wide{display:block}
.narrow{display:none}
.scroll{overflow:visible;background:none}
figure .scroll svg{width:100%;min-width:0!important}
pre{white-space:pre-wrap}
.contents,button{display:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
`;
